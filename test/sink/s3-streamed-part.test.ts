import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UnqcowError } from '../../lib/errors.ts';
import type { Stores } from '../../lib/jobs/stores.ts';
import { crc32Of, toBase64 } from '../../lib/sink/crc32.ts';
import { abortUpload, completeUpload, createUpload, listParts } from '../../lib/sink/s3-multipart.ts';
import { putStreamedPart } from '../../lib/sink/s3-streamed-part.ts';
import type { Upload } from '../../lib/sink/s3-target.ts';
import { MiB } from '../../lib/units.ts';
import { answers, answersHeaders, resetsAfterwards, type SeenRequest, useFaultyS3 } from '../support/faulty-s3.ts';
import { distinctBytes, STORE, useStore } from '../support/store.ts';

const store = useStore();
const faulty = useFaultyS3(() => store.s3.target.endpoint);
let writer: Stores['writer'];
let upload: Upload;
beforeAll(() => {
  writer = store.storesAt(faulty.endpoint).writer;
});
beforeEach(async () => {
  upload = await createUpload(store.stores.writer, { bucket: store.s3.bucket, key: 'streamed' });
});
afterEach(() => abortUpload(store.stores.writer, upload));

const bytes = distinctBytes(11 * MiB + 3);
const withCode = (code: string) => expect.objectContaining({ code });
const isPart = ({ method, path }: SeenRequest) => method === 'PUT' && path.includes('partNumber=');

/** How often the body was made, and the body, in chunks. */
function counted(from: Buffer = bytes, length: number = from.length) {
  const body = {
    times: 0,
    length,
    async *chunks() {
      body.times += 1;
      for (let at = 0; at < from.length; at += 2 * MiB) yield from.subarray(at, at + 2 * MiB);
    },
  };
  return body;
}

const put = (body: ReturnType<typeof counted>, signal?: AbortSignal) =>
  putStreamedPart(writer, upload, 1, body, signal);

describe.runIf(STORE.trailers)('a part that is uploaded while it is made', () => {
  it('has its bytes and their CRC-32, for one request', async () => {
    const receipt = await put(counted());
    expect(receipt).toMatchObject({ number: 1, length: bytes.length, crc32: toBase64(crc32Of(bytes)) });
    expect(faulty.requests).toHaveLength(1);
    expect(await listParts(store.stores.writer, upload)).toEqual([receipt]);
    const completion = { parts: [receipt], crc32: crc32Of(bytes), size: bytes.length };
    await completeUpload(store.stores.writer, upload, completion);
    expect((await store.s3.get('streamed')).body.equals(bytes)).toBe(true);
  });

  it('is made again where the store could not take it', async () => {
    faulty.when(isPart, answers(503, 'SlowDown'), resetsAfterwards);
    const body = counted();
    const receipt = await put(body);
    expect(body.times).toBe(3);
    expect(await listParts(store.stores.writer, upload)).toEqual([receipt]);
  });

  it('is given up after three times', async () => {
    const slow = answers(503, 'SlowDown');
    faulty.when(isPart, slow, slow, slow);
    await expect(put(counted())).rejects.toEqual(withCode('DESTINATION_UNAVAILABLE'));
    expect(faulty.requests).toHaveLength(3);
  });

  it('fails for the reason that its bytes could not be made for, without another try', async () => {
    const reason = new UnqcowError('SOURCE_CHANGED', 'as the test wants it');
    const body = {
      ...counted(),
      async *chunks() {
        yield bytes.subarray(0, 6 * MiB);
        throw reason;
      },
    };
    await expect(put(body)).rejects.toBe(reason);
    expect(await listParts(store.stores.writer, upload)).toEqual([]);
  });

  it.each([-1, 1])('is none where %i bytes more were announced than made', async (more) => {
    await expect(put(counted(bytes, bytes.length + more))).rejects.toEqual(withCode('INTERNAL'));
    expect(await listParts(store.stores.writer, upload)).toEqual([]);
  });

  it('stops where its signal does, with that reason', async () => {
    const controller = new AbortController();
    const body = {
      ...counted(),
      async *chunks() {
        yield bytes.subarray(0, 6 * MiB);
        controller.abort(new Error('time is up'));
        yield bytes.subarray(6 * MiB);
      },
    };
    const { signal } = controller;
    const reason = await put(body, signal).catch((thrown: unknown) => thrown);
    expect(reason).toBe(signal.reason);
  });

  it('is refused where the store says that it holds others', async () => {
    faulty.when(isPart, answersHeaders({ 'x-amz-checksum-crc32': toBase64(1) }));
    await expect(put(counted())).rejects.toEqual(withCode('CHECKSUM_MISMATCH'));
  });

  it.each([411, 501])('is DESTINATION_LIMIT on a store that answers a trailer with %i', async (status) => {
    faulty.when(isPart, answers(status, 'NotImplemented'));
    await expect(put(counted())).rejects.toEqual(withCode('DESTINATION_LIMIT'));
    expect(faulty.requests).toHaveLength(1);
  });
});

// Ceph hangs up while the body is still being sent, and then its answer may never be read.
it.runIf(!STORE.trailers)(
  'a store that takes no trailers takes no such part, and is named so if it is heard',
  async () => {
    await expect(put(counted())).rejects.toMatchObject({
      code: expect.stringMatching(/^DESTINATION_(LIMIT|UNAVAILABLE)$/),
    });
    expect(await listParts(store.stores.writer, upload)).toEqual([]);
  },
);
