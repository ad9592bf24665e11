import { DeleteObjectCommand, ListObjectVersionsCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Stores } from '../../lib/jobs/stores.ts';
import { crc32OfZeros, toBase64 } from '../../lib/sink/crc32.ts';
import { copyPart } from '../../lib/sink/s3-copy-part.ts';
import { abortUpload, createUpload } from '../../lib/sink/s3-multipart.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import { ensureZeros, lendZeros } from '../../lib/sink/s3-zeros.ts';
import { GiB, MiB } from '../../lib/units.ts';
import { answers, resetsAfterwards, useFaultyS3 } from '../support/faulty-s3.ts';
import { STORE, useStore } from '../support/store.ts';

const store = useStore();
const faulty = useFaultyS3(() => store.s3.target.endpoint);
let writer: Stores['writer'];
beforeAll(() => {
  writer = store.storesAt(faulty.endpoint).writer;
});
afterEach(async () => expect(await store.openUploads(), 'open uploads').toEqual([]));

const SIZE = 512 * MiB;
const KEY = `work/zeros-${SIZE}`;
const ensure = (longest = 1) => ensureZeros(writer, store.s3.bucket, 'work/', longest);
const remove = () => store.s3.client.send(new DeleteObjectCommand({ Bucket: store.s3.bucket, Key: KEY }));
const withCode = (code: string) => expect.objectContaining({ code });

describe('the object of zeros', () => {
  afterEach(() => remove());

  it('is 512 MiB of them, of which 8 are uploaded, in 69 requests', async () => {
    const zeros = await ensure();
    expect(zeros).toMatchObject({ bucket: store.s3.bucket, key: KEY, size: SIZE });
    const object = await headObject(writer, zeros);
    expect(object).toMatchObject({ size: SIZE, etag: zeros.etag });
    if (STORE.checksums) expect(object?.crc32).toBe(toBase64(crc32OfZeros(SIZE)));
    const sent = faulty.requests
      .slice(0, -1)
      .reduce((sum, { headers }) => sum + Number(headers['content-length'] ?? 0), 0);
    expect(sent).toBeGreaterThanOrEqual(8 * MiB);
    expect(sent).toBeLessThan(8 * MiB + 32_000);
    expect(faulty.requests.length - 1).toBe(69);
  });

  it('is made once: after that it costs one request', async () => {
    const first = await ensure();
    faulty.reset();
    expect(await ensure(SIZE)).toEqual(first);
    expect(faulty.requests.map(({ method }) => method)).toEqual(['HEAD']);
  });

  it('holds zeros where a part is copied from it', async () => {
    const zeros = await ensure();
    const upload = await createUpload(writer, { bucket: store.s3.bucket, key: 'disk' });
    const { crc32 } = await copyPart(writer, upload, 1, zeros, { start: 0, end: 100 * MiB + 512 });
    if (STORE.checksums) expect(crc32).toBe(toBase64(crc32OfZeros(100 * MiB + 512)));
    await abortUpload(writer, upload);
  });

  it('wanted by several at once is one object for all of them', async () => {
    const all = await Promise.all([ensure(), ensure(), ensure()]);
    expect(new Set(all.map(({ etag }) => etag)).size).toBe(1);
    await expect(headObject(writer, all[0] as (typeof all)[0])).resolves.toMatchObject({ size: SIZE });
  });

  it('is never replaced: only the first of several is taken', async () => {
    await ensure();
    const complete = faulty.requests.filter(({ method, path }) => method === 'POST' && path.includes('uploadId'));
    expect(complete.map(({ headers }) => headers['if-none-match'])).toEqual(['*']);
  });

  it('of the wrong size is refused, not replaced', async () => {
    await store.s3.put(KEY, 'not zeros at all');
    await expect(ensure()).rejects.toEqual(withCode('CHECKSUM_MISMATCH'));
    expect((await store.s3.get(KEY)).body.toString()).toBe('not zeros at all');
  });

  it.runIf(STORE.checksums)('of the right size with other bytes is refused', async () => {
    await ensure();
    const { ETag } = await store.s3.head(KEY);
    const wrong = { 'x-amz-checksum-crc32': toBase64(1), 'x-amz-checksum-type': 'FULL_OBJECT' };
    const headers = { etag: ETag ?? '', 'content-length': String(SIZE), ...wrong };
    faulty.when(({ method }) => method === 'HEAD', { kind: 'answer', status: 200, headers, body: '' });
    await expect(ensure()).rejects.toEqual(withCode('CHECKSUM_MISMATCH'));
  });

  it('that cannot be made leaves nothing open, and may be made later', async () => {
    const isThirdCopy = ({ path }: { path: string }) => path.includes('partNumber=3&') || path.endsWith('partNumber=3');
    faulty.when(isThirdCopy, answers(403, 'AccessDenied'));
    await expect(ensure()).rejects.toEqual(withCode('DESTINATION_DENIED'));
    expect(await store.openUploads()).toEqual([]);
    expect((await ensure()).size).toBe(SIZE);
  });

  it('for parts longer than S3 takes is a defect of ours', async () => {
    await expect(ensure(5 * GiB + 1)).rejects.toEqual(withCode('INTERNAL'));
  });
});

describe('the larger object of zeros', () => {
  it('is 5 GiB, made from the smaller one', async () => {
    const zeros = await ensure(SIZE + 1);
    expect(zeros).toMatchObject({ key: `work/zeros-${5 * GiB}`, size: 5 * GiB });
    if (STORE.checksums) expect((await headObject(writer, zeros))?.crc32).toBe(toBase64(crc32OfZeros(5 * GiB)));
    expect(await headObject(writer, { bucket: store.s3.bucket, key: KEY })).toMatchObject({ size: SIZE });
  });
});

describe('an object of zeros that is lent', () => {
  const target = () => ({ bucket: store.s3.bucket, key: 'lent/disk.raw' });
  const left = async () => {
    const { Versions = [], DeleteMarkers = [] } = await store.s3.client.send(
      new ListObjectVersionsCommand({ Bucket: store.s3.bucket, Prefix: 'lent/' }),
    );
    return [...Versions, ...DeleteMarkers].map(({ Key }) => Key);
  };

  it.each([
    [8 * MiB, 1, 1],
    [8 * MiB + 512, 12, 2],
    [64 * MiB + 512, 23, 3],
  ])(
    'for parts of up to %i bytes costs %i requests, and two for each of %i to remove it',
    async (longest, made, objects) => {
      const { zeros, giveBack } = await lendZeros(writer, target(), longest);
      expect(zeros.size).toBeGreaterThanOrEqual(longest);
      expect(faulty.requests).toHaveLength(made);
      const object = await headObject(store.stores.writer, zeros);
      expect(object).toMatchObject({ size: zeros.size, etag: zeros.etag });
      if (STORE.checksums) expect(object?.crc32).toBe(toBase64(crc32OfZeros(zeros.size)));
      await giveBack();
      expect(faulty.requests).toHaveLength(made + 2 * objects);
      expect(await left()).toEqual([]);
    },
  );

  it.each(['k', '盘'])('lies beside a target whose key is as long as keys may be, of %s', async (character) => {
    const key = character.repeat(Math.floor(1024 / Buffer.byteLength(character)));
    const { zeros, giveBack } = await lendZeros(writer, { bucket: store.s3.bucket, key }, 64 * MiB);
    expect(Buffer.byteLength(zeros.key)).toBeLessThanOrEqual(1024);
    expect(zeros.key).toMatch(new RegExp(`^${character}+\\.zeros-[0-9a-f]{8}-${64 * MiB}$`));
    expect((await headObject(store.stores.writer, zeros))?.size).toBe(64 * MiB);
    await giveBack();
    expect(await left()).toEqual([]);
  });

  it('is found where the answer to its making was lost, and is gone too', async () => {
    faulty.when(({ method, path }) => method === 'POST' && path.includes('uploadId='), resetsAfterwards);
    const { zeros, giveBack } = await lendZeros(writer, target(), 64 * MiB);
    expect(zeros.size).toBe(64 * MiB);
    await giveBack();
    expect(await left()).toEqual([]);
  });

  it('leaves no version and no marker in a bucket that keeps versions', async () => {
    const versioning = (Status: 'Enabled' | 'Suspended') =>
      store.s3.client.send(
        new PutBucketVersioningCommand({ Bucket: store.s3.bucket, VersioningConfiguration: { Status } }),
      );
    await versioning('Enabled');
    try {
      const { giveBack } = await lendZeros(writer, target(), 64 * MiB);
      expect((await left()).length).toBe(2);
      await giveBack();
      await giveBack();
      expect(await left()).toEqual([]);
    } finally {
      await versioning('Suspended');
    }
  });
});
