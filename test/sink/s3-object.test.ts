import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Stores } from '../../lib/jobs/stores.ts';
import { crc32Of, toBase64 } from '../../lib/sink/crc32.ts';
import { getText, headObject, putJson, putText, storedAs } from '../../lib/sink/s3-object.ts';
import { answers, endsAfter, resets, useFaultyS3 } from '../support/faulty-s3.ts';
import { STORE, useStore } from '../support/store.ts';

const store = useStore();
const faulty = useFaultyS3(() => store.s3.target.endpoint);
let writer: Stores['writer'];
beforeAll(() => {
  writer = store.storesAt(faulty.endpoint).writer;
});

const target = (key: string) => ({ bucket: store.s3.bucket, key });
const elsewhere = (key: string) => ({ bucket: `${store.s3.bucket}-2`, key });
const withCode = (code: string) => expect.objectContaining({ code });

describe('a job’s own object', () => {
  it.each(['plan.json', 'with space', 'a+b', 'ü/磁盘', '50%25', 'a//b'])(
    'of the key %j comes back as it was',
    async (key) => {
      await putText(writer, target(key), 'one\nzwölf\n', { contentType: 'application/x-ndjson' });
      expect(await getText(writer, target(key))).toBe('one\nzwölf\n');
      expect((await store.s3.head(key)).ContentType).toBe('application/x-ndjson');
      expect(faulty.requests.map(({ method }) => method)).toEqual(['PUT', 'GET']);
    },
  );

  it('may be empty', async () => {
    await putText(writer, target('empty'), '', { contentType: 'text/plain' });
    expect(await getText(writer, target('empty'))).toBe('');
  });

  it('as JSON says so', async () => {
    await putJson(writer, target('plan.json'), { parts: [1, 2], of: 'ü' });
    expect(JSON.parse(await getText(writer, target('plan.json')))).toEqual({ parts: [1, 2], of: 'ü' });
    expect((await store.s3.head('plan.json')).ContentType).toBe('application/json');
  });

  it('is replaced, unless it is to be the first: then DESTINATION_EXISTS', async () => {
    await putJson(writer, target('failure.json'), 1);
    await putJson(writer, target('failure.json'), 2);
    await expect(putJson(writer, target('failure.json'), 3, { ifAbsent: true })).rejects.toEqual(
      withCode('DESTINATION_EXISTS'),
    );
    expect(await getText(writer, target('failure.json'))).toBe('2');
    await putJson(writer, target('first.json'), 3, { ifAbsent: true });
  });

  it('that is missing is RECEIPTS_MISMATCH; in a bucket that is, DESTINATION_NOT_FOUND', async () => {
    await expect(getText(writer, target('absent'))).rejects.toEqual(withCode('RECEIPTS_MISMATCH'));
    await expect(getText(writer, elsewhere('plan.json'))).rejects.toEqual(withCode('DESTINATION_NOT_FOUND'));
    await expect(putJson(writer, elsewhere('plan.json'), 1)).rejects.toEqual(withCode('DESTINATION_NOT_FOUND'));
  });

  it('is put and read again where the store is busy', async () => {
    faulty.next(answers(503, 'SlowDown'), resets);
    await putJson(writer, target('busy.json'), 1);
    faulty.next(answers(500, 'InternalError'));
    expect(await getText(writer, target('busy.json'))).toBe('1');
  });

  it('is never taken for whole where its body was cut short', async () => {
    await putJson(writer, target('cut.json'), 'a long text that ends too early');
    faulty.next(...Array(5).fill(endsAfter(10)));
    await expect(getText(writer, target('cut.json'))).rejects.toEqual(withCode('DESTINATION_UNAVAILABLE'));
  });
});

describe('looking at an object', () => {
  it('tells its size, ETag and CRC-32, by one request', async () => {
    const { ETag } = await store.s3.put('disk', 'eleven byte', STORE.checksums ? { ChecksumAlgorithm: 'CRC32' } : {});
    const object = await headObject(writer, target('disk'));
    expect(object).toEqual({
      ...target('disk'),
      size: 11,
      etag: ETag,
      isOurs: false,
      ...(STORE.checksums && { crc32: toBase64(crc32Of(Buffer.from('eleven byte'))) }),
    });
    expect(faulty.requests).toHaveLength(1);
  });

  it('that is not there, or whose bucket is not, tells nothing', async () => {
    expect(await headObject(writer, target('absent'))).toBeUndefined();
    expect(await headObject(writer, elsewhere('disk'))).toBeUndefined();
  });

  it('that we may not see is DESTINATION_DENIED', async () => {
    faulty.next(answers(403, 'AccessDenied'));
    await expect(headObject(writer, target('disk'))).rejects.toEqual(withCode('DESTINATION_DENIED'));
  });

  it('that was just written, holds it to its length', async () => {
    await store.s3.put('written', 'eleven byte');
    expect(await storedAs(writer, target('written'), 11)).toEqual(await headObject(writer, target('written')));
    for (const [key, size] of [
      ['written', 12],
      ['absent', 11],
    ] as const) {
      await expect(storedAs(writer, target(key), size)).rejects.toEqual(withCode('CHECKSUM_MISMATCH'));
    }
  });

  it('that was replaced as soon as it was written is told by what the store said of the write', async () => {
    await store.s3.put('replaced', 'of another job');
    const written = { etag: '"of ours"', versionId: 'v1' };
    expect(await storedAs(writer, target('replaced'), 11, written)).toEqual({
      ...target('replaced'),
      ...written,
      size: 11,
      isOurs: true,
    });
  });

  it.runIf(STORE.checksums)('does not take a checksum of checksums for the object’s', async () => {
    const at = { Bucket: store.s3.bucket, Key: 'composite' };
    const { client } = store.s3;
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm: 'CRC32' }));
    const part = { ...at, UploadId, PartNumber: 1 };
    const { ETag, ChecksumCRC32 } = await client.send(
      new UploadPartCommand({ ...part, Body: 'x', ChecksumAlgorithm: 'CRC32' }),
    );
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag, ChecksumCRC32 }] };
    await client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload }));
    expect(await headObject(writer, target('composite'))).not.toHaveProperty('crc32');
  });
});
