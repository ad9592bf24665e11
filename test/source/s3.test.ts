import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Stores } from '../../lib/jobs/stores.ts';
import { newMeter } from '../../lib/source/metered.ts';
import { openS3, type S3Source, s3Source } from '../../lib/source/s3.ts';
import { KiB } from '../../lib/units.ts';
import { useFaultyS3 } from '../support/faulty-s3.ts';
import { distinctBytes, useStore } from '../support/store.ts';

const bytes = distinctBytes(150 * KiB);
const store = useStore();
const wire = useFaultyS3(() => store.s3.target.endpoint);

let reader: Stores['reader'];
beforeAll(() => {
  reader = store.storesAt(wire.endpoint).reader;
});

const put = async (key: string, body: Buffer) => (await store.s3.put(key, body)).ETag;
const open = (key: string, options = {}) => openS3(reader, { bucket: store.s3.bucket, key }, options);
const remove = (key: string) => store.s3.client.send(new DeleteObjectCommand({ Bucket: store.s3.bucket, Key: key }));
const withCode = (code: string) => expect.objectContaining({ code });

describe('opening an object', () => {
  it('costs one GET of 64 KiB, which tells its size and ETag', async () => {
    const etag = await put('disk', bytes);
    const meter = newMeter();
    const source = await open('disk', { meter });
    expect(source.pin).toMatchObject({ bucket: store.s3.bucket, key: 'disk', etag, size: 150 * KiB });
    expect(wire.requests.map(({ method }) => method)).toEqual(['GET']);
    expect(wire.ranges).toEqual(['bytes=0-65535']);
    expect(meter).toEqual({ requests: 1, bytes: 64 * KiB });
  });

  it('makes reads inside those 64 KiB free, and no others', async () => {
    await put('disk', bytes);
    const source = await open('disk');
    wire.reset();
    expect(bytes.compare(await source.read({ start: 0, end: 64 * KiB }), 0, undefined, 0, 64 * KiB)).toBe(0);
    await source.read({ start: 65535, end: 65536 });
    expect(wire.requests).toEqual([]);
    expect(bytes.compare(await source.read({ start: 65535, end: 65537 }), 0, undefined, 65535, 65537)).toBe(0);
    expect(wire.ranges).toEqual(['bytes=65535-65536']);
  });

  it('of at most 64 KiB makes every read free', async () => {
    await put('small', bytes.subarray(0, 100));
    const source = await open('small');
    expect(source.size).toBe(100);
    wire.reset();
    expect(bytes.compare(await source.read({ start: 0, end: 100 }), 0, undefined, 0, 100)).toBe(0);
    await expect(source.read({ start: 99, end: 101 })).rejects.toEqual(withCode('RANGE_BEYOND_SOURCE'));
    expect(wire.requests).toEqual([]);
  });

  it('that is empty costs a HEAD more', async () => {
    const etag = await put('empty', Buffer.alloc(0));
    const source = await open('empty');
    expect(source.pin).toMatchObject({ etag, size: 0 });
    expect(await source.read({ start: 0, end: 0 })).toHaveLength(0);
    await expect(source.read({ start: 0, end: 1 })).rejects.toEqual(withCode('RANGE_BEYOND_SOURCE'));
    await source.verify();
    // A store that answers 200 to a range of nothing spares us the HEAD.
    expect(wire.requests.map(({ method }) => method).slice(0, -1)).toEqual(['GET', 'HEAD']);
  });

  it.each(['with space', 'a+b', 'ü/磁盘', '50%25', 'a//b/', "it's (1)*!", '?versionId=1#2', '../up'])(
    'of the key %j reads that one',
    async (key) => {
      await put(key, Buffer.from(key));
      const source = await open(key);
      expect(Buffer.from(await source.read({ start: 0, end: source.size })).toString()).toBe(key);
      await source.verify();
    },
  );

  it('that is not there is SOURCE_NOT_FOUND, by one request', async () => {
    await expect(open('absent')).rejects.toEqual(withCode('SOURCE_NOT_FOUND'));
    await expect(openS3(reader, { bucket: `${store.s3.bucket}-2`, key: 'disk' })).rejects.toEqual(
      withCode('SOURCE_NOT_FOUND'),
    );
    expect(wire.requests).toHaveLength(2);
  });

  it('by another ETag than it has is SOURCE_CHANGED, by one request', async () => {
    await put('disk', bytes);
    const location = { bucket: store.s3.bucket, key: 'disk', etag: '"00000000000000000000000000000000"' };
    await expect(openS3(reader, location)).rejects.toEqual(withCode('SOURCE_CHANGED'));
    expect(wire.requests).toHaveLength(1);
    await expect(openS3(reader, { ...location, key: 'absent' })).rejects.toEqual(withCode('SOURCE_CHANGED'));
  });

  it('by the ETag that it has opens it', async () => {
    const etag = await put('disk', bytes);
    const source = await openS3(reader, { bucket: store.s3.bucket, key: 'disk', etag });
    expect(source.pin.etag).toBe(etag);
    expect(wire.requests[0]?.headers['if-match']).toBe(etag);
  });
});

describe('an object that was opened', () => {
  it('is read by GETs that each carry its ETag, one a read', async () => {
    const etag = await put('disk', bytes);
    const source = await open('disk');
    wire.reset();
    await source.read({ start: 70_000, end: 70_001 });
    await Promise.all([source.read({ start: 0, end: 150 * KiB }), source.read({ start: 80_000, end: 90_000 })]);
    await source.verify();
    expect(wire.requests.map(({ headers }) => headers['if-match'])).toEqual([etag, etag, etag, etag]);
    expect(wire.ranges).toEqual([
      'bytes=70000-70000',
      expect.stringMatching(/^bytes=(0-153599|80000-89999)$/),
      expect.stringMatching(/^bytes=(0-153599|80000-89999)$/),
      undefined,
    ]);
  });

  it('and whose version is known is asked for by that version', async () => {
    const etag = await put('disk', bytes);
    const pin = { bucket: store.s3.bucket, key: 'disk', versionId: 'a+b/c=', etag: etag ?? '', size: bytes.length };
    await s3Source(reader, pin, { attempts: 1 })
      .read({ start: 0, end: 1 })
      .catch(() => undefined);
    expect(wire.requests[0]?.path).toContain('versionId=a%2Bb%2Fc%3D');
  });

  it('need not be opened again by whoever has its pin', async () => {
    await put('disk', bytes);
    const { pin } = await open('disk');
    wire.reset();
    const source = s3Source(reader, pin);
    expect(wire.requests).toEqual([]);
    expect(bytes.compare(await source.read({ start: 5, end: 9 }), 0, undefined, 5, 9)).toBe(0);
    expect(wire.requests).toHaveLength(1);
  });

  describe.each([
    ['replaced by another', (key: string) => put(key, distinctBytes(150 * KiB, 2))],
    ['replaced by a shorter one', (key: string) => put(key, Buffer.from('short'))],
    ['emptied', (key: string) => put(key, Buffer.alloc(0))],
    ['deleted', (key: string) => remove(key)],
  ] as const)('and then %s', (name, change) => {
    const key = `changed/${name}`;
    let source: S3Source;
    beforeEach(async () => {
      await put(key, bytes);
      source = await open(key);
      await change(key);
      wire.reset();
    });

    it('is SOURCE_CHANGED on the next read, by one request', async () => {
      await expect(source.read({ start: 100_000, end: 100_010 })).rejects.toEqual(withCode('SOURCE_CHANGED'));
      expect(wire.requests).toHaveLength(1);
    });

    it('is SOURCE_CHANGED to verify, by one request', async () => {
      await expect(source.verify()).rejects.toEqual(withCode('SOURCE_CHANGED'));
      expect(wire.requests).toHaveLength(1);
    });

    it('is still what it was inside its head', async () => {
      expect(bytes.compare(await source.read({ start: 0, end: 10 }), 0, undefined, 0, 10)).toBe(0);
    });
  });

  it('and replaced by the same bytes is still the same', async () => {
    await put('disk', bytes);
    const source = await open('disk');
    await put('disk', bytes);
    await source.verify();
    expect(bytes.compare(await source.read({ start: 100_000, end: 100_010 }), 0, undefined, 100_000, 100_010)).toBe(0);
  });
});
