import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { UnqcowError } from '../../lib/errors.ts';
import type { Stores } from '../../lib/jobs/stores.ts';
import { crc32Of, toBase64 } from '../../lib/sink/crc32.ts';
import { IF_ABSENT } from '../../lib/sink/s3-condition.ts';
import { describeRaw } from '../../lib/sink/s3-description.ts';
import { abortUpload } from '../../lib/sink/s3-multipart.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import { putWhole } from '../../lib/sink/s3-whole.ts';
import { MiB } from '../../lib/units.ts';
import {
  alters,
  answers,
  answersHeaders,
  type Fault,
  knowsNoChecksums,
  resetsAfterwards,
  type SeenRequest,
  useFaultyS3,
} from '../support/faulty-s3.ts';
import { distinctBytes, STORE, useStore } from '../support/store.ts';

const store = useStore();
const faulty = useFaultyS3(() => store.s3.target.endpoint);
let writer: Stores['writer'];
beforeAll(() => {
  writer = store.storesAt(faulty.endpoint).writer;
});
afterEach(async () => expect(await store.openUploads(), 'open uploads').toEqual([]));

/** Parts are of 16 MiB: this is three of them. */
const BIG = 40 * MiB;
const big = distinctBytes(BIG);
const target = (key: string) => ({ bucket: store.s3.bucket, key });
const withCode = (code: string) => expect.objectContaining({ code });
const isComplete = ({ method, path }: SeenRequest) => method === 'POST' && path.includes('uploadId');
const isPart = ({ method, path }: SeenRequest) => method === 'PUT' && path.includes('partNumber=2');

/** In chunks that are no multiples of a part. */
async function* inChunks(bytes: Buffer, length = 7 * MiB) {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function* failing(after: number, reason: unknown) {
  yield* inChunks(big.subarray(0, after));
  throw reason;
}

const upload = (key: string, body: AsyncIterable<Uint8Array>, size: number, options = {}) =>
  putWhole(writer, target(key), body, size, options);

describe('an object that is uploaded while it is made', () => {
  it.each([0, 1, 5 * MiB, 16 * MiB, 16 * MiB + 1, BIG])('has its %i bytes, and their CRC-32', async (size) => {
    const bytes = big.subarray(0, size);
    const made = await upload(`size-${size}`, inChunks(bytes), size);
    expect(made).toMatchObject({ crc32: crc32Of(bytes), proven: STORE.checksums });
    expect((await store.s3.get(`size-${size}`)).body.equals(bytes)).toBe(true);
    const object = await headObject(writer, target(`size-${size}`));
    expect(object?.size).toBe(size);
    if (!STORE.checksums) return;
    expect(object?.crc32).toBe(toBase64(crc32Of(bytes)));
    expect(made.written?.etag).toBe(object?.etag);
  });

  it('costs one request up to 16 MiB, and one for each 16 MiB and two more above', async () => {
    await upload('small', inChunks(big.subarray(0, 16 * MiB)), 16 * MiB);
    expect(faulty.requests).toHaveLength(1);
    faulty.reset();
    await upload('big', inChunks(big), BIG);
    expect(faulty.requests).toHaveLength(5);
  });

  it('is uploaded though the store is slow to take it', async () => {
    faulty.next(answers(503, 'SlowDown'));
    faulty.when(isPart, answers(500, 'InternalError'), resetsAfterwards);
    await upload('big', inChunks(big), BIG);
    expect((await store.s3.get('big')).body.equals(big)).toBe(true);
  });

  it.runIf(STORE.checksums)('is there though the answer that said so was lost', async () => {
    faulty.when(isComplete, resetsAfterwards);
    expect(await upload('lost', inChunks(big), BIG)).toEqual({ crc32: crc32Of(big), proven: true });
    expect((await headObject(writer, target('lost')))?.size).toBe(BIG);
  });

  it('is there though the answer was lost, in a store that keeps no checksums: by the ETags of its parts', async () => {
    const lost = () => {
      faulty.when(isComplete, resetsAfterwards, answers(404, 'NoSuchUpload'));
      faulty.when(() => true, ...Array<Fault>(20).fill(knowsNoChecksums));
    };
    lost();
    const made = await upload('unsummed', inChunks(big), BIG, { description: describeRaw({}) });
    expect(made).toEqual({ crc32: crc32Of(big), proven: false });
    expect((await headObject(store.stores.writer, target('unsummed')))?.size).toBe(BIG);
    faulty.reset();
    lost();
    // What does not say that we made it is not taken for ours.
    await expect(upload('unsummed', inChunks(big), BIG)).rejects.toEqual(withCode('UPLOAD_GONE'));
  });

  it.each(['with space', 'a+b', 'ü/磁盘', '50%25', 'a//b'])('has the key %j', async (key) => {
    await upload(key, inChunks(big.subarray(0, 17 * MiB)), 17 * MiB);
    expect((await headObject(writer, target(key)))?.size).toBe(17 * MiB);
  });
});

// After each of these, too, no upload is open.
describe('nothing is made', () => {
  it('if its upload cannot be put on record: it is aborted before a part is sent', async () => {
    const onUpload = () => Promise.reject(new UnqcowError('DESTINATION_DENIED', 'not here'));
    const made = upload('unrecorded', inChunks(big), BIG, { onUpload });
    await expect(made).rejects.toMatchObject({ code: 'DESTINATION_DENIED' });
    expect(faulty.requests.filter(({ method }) => method === 'PUT')).toEqual([]);
  });

  afterEach(async () => expect(await headObject(store.stores.writer, target('none'))).toBeUndefined());

  it.each([0, 1, 20 * MiB, 39 * MiB])(
    'where the body fails after %i bytes: it is the body’s error that comes out',
    async (after) => {
      const reason = new UnqcowError('SOURCE_CHANGED', 'as the test wants it');
      await expect(upload('none', failing(after, reason), BIG)).rejects.toBe(reason);
      const other = new TypeError('no error of ours');
      await expect(upload('none', failing(after, other), BIG)).rejects.toBe(other);
    },
  );

  it.each([0, 1, BIG])('of %i bytes where the signal is aborted already: its reason comes out', async (size) => {
    const signal = AbortSignal.abort(new Error('not wanted'));
    await expect(upload('none', inChunks(big.subarray(0, size)), size, { signal })).rejects.toBe(signal.reason);
    expect(faulty.requests).toEqual([]);
  });

  it.each([1 * MiB, 20 * MiB])('where the signal is aborted after %i bytes: its reason comes out', async (after) => {
    const controller = new AbortController();
    const { signal } = controller;
    async function* body() {
      yield* inChunks(big.subarray(0, after), 1 * MiB);
      controller.abort(new Error('time is up'));
      yield* inChunks(big.subarray(after), 1 * MiB);
    }
    const reason = await upload('none', body(), BIG, { signal }).catch((thrown: unknown) => thrown);
    expect(reason).toBe(signal.reason);
  });

  it.each([
    [1 * MiB, 2 * MiB],
    [2 * MiB, 1 * MiB],
    [BIG - 1, BIG],
    [BIG, BIG - 1],
  ])('where the body has %i bytes instead of %i', async (there, size) => {
    await expect(upload('none', inChunks(big.subarray(0, there)), size)).rejects.toEqual(withCode('INTERNAL'));
  });

  it('where a part is refused', async () => {
    faulty.when(isPart, answers(403, 'AccessDenied'));
    await expect(upload('none', inChunks(big), BIG)).rejects.toEqual(withCode('DESTINATION_DENIED'));
  });

  it('where the end is refused', async () => {
    faulty.when(isComplete, answers(403, 'AccessDenied'));
    await expect(upload('none', inChunks(big), BIG)).rejects.toEqual(withCode('DESTINATION_DENIED'));
  });

  it('where somebody else aborts the upload', async () => {
    await store.s3.put('none', 'another object');
    faulty.when(isComplete, answers(404, 'NoSuchUpload'));
    await expect(upload('none', inChunks(big), BIG)).rejects.toEqual(withCode('UPLOAD_GONE'));
    await store.s3.client.send(new DeleteObjectCommand({ Bucket: store.s3.bucket, Key: 'none' }));
  });

  it('where it cannot even be begun', async () => {
    faulty.next(answers(403, 'AccessDenied'));
    await expect(upload('none', inChunks(big), BIG)).rejects.toEqual(withCode('DESTINATION_DENIED'));
    faulty.next(answers(403, 'AccessDenied'));
    await expect(upload('none', inChunks(big.subarray(0, 1)), 1)).rejects.toEqual(withCode('DESTINATION_DENIED'));
    faulty.next(answers(403, 'AccessDenied'));
    await expect(upload('none', inChunks(big.subarray(0, 0)), 0)).rejects.toEqual(withCode('DESTINATION_DENIED'));
  });

  it('in a bucket that is not there', async () => {
    const nowhere = { bucket: `${store.s3.bucket}-2`, key: 'none' };
    for (const size of [0, 1, BIG]) {
      const made = putWhole(writer, nowhere, inChunks(big.subarray(0, size)), size);
      await expect(made).rejects.toEqual(withCode('DESTINATION_NOT_FOUND'));
    }
  });
});

describe.runIf(STORE.checksums)('a store that says it holds other bytes', () => {
  const wrong = toBase64(1);

  it('of one request is CHECKSUM_MISMATCH', async () => {
    faulty.next(answersHeaders({ 'x-amz-checksum-crc32': wrong }));
    await expect(upload('wrong', inChunks(big.subarray(0, 10)), 10)).rejects.toEqual(withCode('CHECKSUM_MISMATCH'));
  });

  it('of many parts is CHECKSUM_MISMATCH', async () => {
    const says = (xml: string) => Buffer.from(xml.replace(/(<ChecksumCRC32>)[^<]*/, `$1${wrong}`));
    faulty.when(
      isComplete,
      alters(({ status, headers: { 'content-length': _, ...headers }, body }) => ({
        status,
        headers,
        body: says(body.toString()),
      })),
    );
    await expect(upload('wrong', inChunks(big), BIG)).rejects.toEqual(withCode('CHECKSUM_MISMATCH'));
  });
});

describe('an object that is there', () => {
  const SIZES = STORE.conditionalComplete ? [0, 1, BIG] : [0, 1];

  it.each(SIZES)('is not overwritten by %i bytes where that was not wanted: DESTINATION_EXISTS', async (size) => {
    await store.s3.put('there', 'first');
    const made = upload('there', inChunks(big.subarray(0, size)), size, { condition: IF_ABSENT });
    await expect(made).rejects.toEqual(withCode('DESTINATION_EXISTS'));
    expect((await store.s3.get('there')).body.toString()).toBe('first');
  });

  it.each([0, 1, BIG])('is overwritten by %i bytes where it was', async (size) => {
    await store.s3.put('there', 'first');
    await upload('there', inChunks(big.subarray(0, size)), size);
    expect((await headObject(writer, target('there')))?.size).toBe(size);
  });

  it('and is not, may be made without overwriting', async () => {
    await upload('new', inChunks(big), BIG, { condition: IF_ABSENT });
    expect((await headObject(writer, target('new')))?.size).toBe(BIG);
  });
});

describe('what goes wrong while it is cleaned up', () => {
  it('does not hide what went wrong first', async () => {
    const reason = new UnqcowError('SOURCE_CHANGED', 'as the test wants it');
    faulty.when(({ method }) => method === 'DELETE', answers(403, 'AccessDenied'), answers(403, 'AccessDenied'));
    await expect(upload('none', failing(35 * MiB, reason), BIG)).rejects.toBe(reason);
    for (const left of await store.openUploads()) await abortUpload(store.stores.writer, left);
  });
});
