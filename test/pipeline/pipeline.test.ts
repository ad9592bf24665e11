import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, describe, expect, it } from 'vitest';
import type { ConversionResult } from '../../lib/jobs/conversion.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import { GiB, KiB, MiB, TiB } from '../../lib/units.ts';
import { targetKind } from '../s3/target.ts';
import { STORE } from '../support/store.ts';
import { executionOf, notification, type Pipeline, usePipeline } from './use-pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-images-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Makes an image by `qemu-img` and `qemu-io`. */
function image(name: string, size: string | number, ...writes: string[]): string {
  const path = join(folder, name);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(size)]);
  if (writes.length > 0) execFileSync('qemu-io', [...writes.flatMap((write) => ['-c', write]), path]);
  return path;
}

/** What `qemu-img convert` makes of it. */
function raw(path: string): string {
  execFileSync('qemu-img', ['convert', '-O', 'raw', path, `${path}.raw`]);
  return `${path}.raw`;
}

const resultOf = ({ output }: { readonly output?: unknown }) => output as ConversionResult;

describe('an image that is uploaded to S3', () => {
  const pipeline = usePipeline();

  it('becomes a raw object: of one stream, if its disk is small', async () => {
    const path = image('small.qcow2', '10M', 'write -P 1 0 1M', 'write -c -P 2 3M 64k', 'write -z 5M 1M');
    const ended = await pipeline.upload(path, 'small.qcow2');
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { size: 10 * MiB, proven: STORE.checksums } });
    expect(await pipeline.difference('small.qcow2.raw', raw(path))).toBeUndefined();
  });

  it('becomes a raw object: of parts of all kinds, if it is large', async () => {
    const path = image(
      'large.qcow2',
      700 * MiB + 512,
      'write -P 1 0 190M',
      'write -P 2 260M 70M',
      ...Array.from({ length: 16 }, (_, i) => `write -c -P ${i + 1} ${400 * 1024 + i * 64}k 64k`),
      `write -P 9 ${700 * MiB} 512`,
    );
    const ended = await pipeline.upload(path, 'a folder/large+1.qcow2');
    expect(ended.status).toBe('SUCCEEDED');
    const { parts, size, read, proven, crc32 } = resultOf(ended);
    expect(parts).toEqual({ copy: 2, data: 2, zero: 3 });
    expect(size).toBe(700 * MiB + 512);
    // Copies move nothing through us; the header, L1, refcount table and two L2 tables, twice, are all that comes on top.
    expect(read.bytes).toBeLessThan(16 * 64 * KiB + MiB);
    expect(proven).toBe(STORE.checksums);
    if (STORE.checksums) expect(crc32).toMatch(/^[0-9a-f]{8}$/);
    expect(await pipeline.difference('a folder/large+1.qcow2.raw', raw(path))).toBeUndefined();
    expect(await pipeline.openUploads()).toEqual([]);
  });

  it('becomes a raw object of copied zeros only, if it is empty, and next to nothing is read', async () => {
    const path = image('empty.qcow2', '1G');
    const ended = await pipeline.upload(path, 'empty.qcow2');
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { size: GiB, parts: { zero: 2, data: 0, copy: 0 } } });
    // The header's 64 KiB; then the L1 table of 16 bytes and the refcount table of a cluster, in one request over the gap.
    expect(resultOf(ended).read).toEqual({ requests: 2, bytes: 64 * KiB + 192 * KiB - 64 * KiB + 16 });
    expect(await pipeline.difference('empty.qcow2.raw', raw(path))).toBeUndefined();
  });

  it('becomes an empty object, if its disk has no bytes', async () => {
    const path = image('nothing.qcow2', 0);
    const ended = await pipeline.upload(path, 'nothing.qcow2');
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { size: 0, crc32: '00000000' } });
    expect(
      await headObject(pipeline.stores.reader, { bucket: pipeline.stack.buckets.raw, key: 'nothing.qcow2.raw' }),
    ).toMatchObject({ size: 0 });
  });

  it('is converted once, however often its event is delivered', async () => {
    const path = image('twice.qcow2', '1M');
    await pipeline.upload(path, 'twice.qcow2');
    const event = await notification(
      pipeline.stores,
      pipeline.stack.buckets.images,
      'twice.qcow2',
      '0055AED6DCD90281E5',
    );
    const [first] = await pipeline.stack.trigger(event);
    await pipeline.stack.stepFunctions.wait(executionOf(first));
    expect(await pipeline.stack.trigger(event)).toEqual([{ ...first, outcome: 'done' }]);
  });

  it('is converted again, if it comes back after another took its place', async () => {
    const [one, other] = [image('one.qcow2', '1M', 'write -P 1 0 64k'), image('other.qcow2', '1M', 'write -P 2 0 64k')];
    await pipeline.upload(one, 'back.qcow2');
    await pipeline.upload(other, 'back.qcow2');
    expect(await pipeline.difference('back.qcow2.raw', raw(other))).toBeUndefined();
    await pipeline.upload(one, 'back.qcow2');
    expect(await pipeline.difference('back.qcow2.raw', raw(one))).toBeUndefined();
  });
});

describe('a conversion that cannot be', () => {
  const pipeline = usePipeline();
  const conversion = (key: string, more: object = {}) => ({
    source: { bucket: pipeline.stack.buckets.images, key },
    destination: { bucket: pipeline.stack.buckets.raw, key: `${key}.raw` },
    ...more,
  });
  const left = async (key: string) => ({
    uploads: await pipeline.openUploads(),
    object: await headObject(pipeline.stores.reader, { bucket: pipeline.stack.buckets.raw, key: `${key}.raw` }),
  });
  const NOTHING = { uploads: [], object: undefined };

  it.each([
    ['300M', 'in parts'],
    ['10M', 'whole'],
  ])(
    'leaves nothing behind if a compressed cluster of %s, converted %s, is damaged: DECOMPRESS_FAILED',
    async (size, how) => {
      const key = `damaged-${size}.qcow2`;
      const path = image(key, size, 'write -P 7 0 1M', 'write -c -P 2 3M 64k');
      await damageCompressedCluster(path);
      const ended = await pipeline.upload(path, key);
      expect(ended).toMatchObject({ status: 'FAILED', error: 'DECOMPRESS_FAILED' });
      expect(ended.cause).toContain('the stream is damaged');
      expect(await left(key), how).toEqual(NOTHING);
    },
  );

  it('names the image that is missing: SOURCE_NOT_FOUND', async () => {
    expect(await pipeline.convert(conversion('missing.qcow2'))).toMatchObject({
      status: 'FAILED',
      error: 'SOURCE_NOT_FOUND',
    });
  });

  it('names the version that is no longer there: SOURCE_CHANGED', async () => {
    await pipeline.put(image('changed.qcow2', '1M'), 'changed.qcow2');
    const { bucket } = conversion('').source;
    const input = conversion('changed.qcow2', {
      source: { bucket, key: 'changed.qcow2', etag: '"0123456789abcdef0123456789abcdef"' },
    });
    expect(await pipeline.convert(input)).toMatchObject({ status: 'FAILED', error: 'SOURCE_CHANGED' });
    expect(await left('changed.qcow2')).toEqual(NOTHING);
  });

  it.each([
    ['is no QCOW', 'NOT_QCOW', (path: string) => writeFileSync(path, Buffer.alloc(MiB, 1))],
    ['is no QCOW but gzip', 'NOT_QCOW', (path: string) => writeFileSync(path, Buffer.from('1f8b0800', 'hex'))],
    [
      'ends in its header',
      'TRUNCATED_HEADER',
      (path: string) => writeFileSync(path, Buffer.from('514649fb00000003', 'hex')),
    ],
    ['names a backing file', 'EXTERNAL_REF_DENIED', (path: string) => backed(path)],
    [
      'is larger than an object may be',
      'OUTPUT_LIMIT',
      (path: string) => image(path.slice(folder.length + 1), 64 * TiB),
    ],
  ] as const)('refuses an image that %s: %s', async (_, code, make) => {
    const key = `${code.toLowerCase()}-${_.length}`; // no suffix: what is no image would start nothing by its upload
    const path = join(folder, key);
    make(path);
    await pipeline.put(path, key);
    expect(await pipeline.convert(conversion(key))).toMatchObject({ status: 'FAILED', error: code });
    expect(await left(key)).toEqual(NOTHING);
  });

  it('refuses what lies outside the allowed prefixes without a word to S3: NOT_ALLOWED', async () => {
    const source = { bucket: 'somewhere-else', key: 'a.qcow2' };
    const destination = { bucket: 'somewhere-else', key: 'a.raw' };
    const before = await askedBefore(pipeline);
    for (const more of [{ source }, { destination }]) {
      expect(await pipeline.convert(conversion('a.qcow2', more))).toMatchObject({
        status: 'FAILED',
        error: 'NOT_ALLOWED',
      });
    }
    expect(asked(pipeline)).toEqual(before);
  });

  it('refuses a request that it does not understand: BAD_REQUEST', async () => {
    const options = { overwrite: 'perhaps' };
    expect(await pipeline.convert(conversion('a.qcow2', { options }))).toMatchObject({
      status: 'FAILED',
      error: 'BAD_REQUEST',
    });
    expect(await pipeline.convert(conversion('a.qcow2', { surprise: 1 }))).toMatchObject({
      status: 'FAILED',
      error: 'BAD_REQUEST',
    });
  });

  it.each(['10M', '300M'])('does not replace an object that it is not to, of %s: DESTINATION_EXISTS', async (size) => {
    const key = `exists-${size}.qcow2`;
    await pipeline.upload(image(key, size), key);
    await pipeline.put(image(`other-${size}`, size, 'write -P 1 0 64k'), `other-${size}`);
    const other = { bucket: pipeline.stack.buckets.images, key: `other-${size}` };
    const convert = () => pipeline.convert(conversion(key, { source: other, options: { overwrite: false } }));
    expect(await convert()).toMatchObject({ status: 'FAILED', error: 'DESTINATION_EXISTS' });
    expect(await pipeline.openUploads()).toEqual([]);
  });

  it.each(['11M', '301M'])(
    'that is to replace nothing is refused by its plan, though it be the very disk that is there: of %s',
    async (size) => {
      const key = `again-${size}.qcow2`;
      await pipeline.upload(image(key, size, 'write -P 1 0 64k'), key);
      const again = await pipeline.convert(conversion(key, { options: { overwrite: false } }));
      expect(again).toMatchObject({ status: 'FAILED', error: 'DESTINATION_EXISTS' });
      expect(await pipeline.openUploads()).toEqual([]);
    },
  );
});

/** The same, once what came after earlier conversions has ended: the sweeper reads what it knows of a job. */
async function askedBefore(pipeline: Pipeline) {
  for (let before = asked(pipeline); ; ) {
    await sleep(1000);
    const now = asked(pipeline);
    if (isDeepStrictEqual(now, before)) return now;
    before = now;
  }
}

/** What conversions have asked of S3 so far. The sweeper, which comes after those that failed, lists and deletes. */
function asked({ stack }: Pipeline) {
  const { GetObject, HeadObject, PutObject, CreateMultipartUpload } = stack.s3?.metrics().requests ?? {};
  return { GetObject, HeadObject, PutObject, CreateMultipartUpload };
}

/** Fills the end of the file, where the cluster was compressed to, with what no deflate stream starts with. */
async function damageCompressedCluster(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const { size } = await file.stat();
  await file.write(Buffer.alloc(64 * KiB, 0xff), 0, 64 * KiB, size - 64 * KiB);
  await file.close();
}

function backed(path: string): void {
  execFileSync('qemu-img', ['create', '-q', '-f', 'raw', `${path}.base`, '1M']);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', `${path}.base`, '-F', 'raw', path]);
}

describe.runIf(targetKind === 'ours')('an event', () => {
  const pipeline = usePipeline();

  it.each([
    ['a form', 'Records'],
    ['it is', 'EventBridge'],
  ])('gives its key as %s, in the form of %s', async (_, form) => {
    const key = `${form} +%20 ü.qcow2`;
    const path = image(`${form}.qcow2`, '1M', 'write -P 5 0 64k');
    await pipeline.put(path, key);
    const sent = (await notification(pipeline.stores, pipeline.stack.buckets.images, key)) as {
      Records: [{ s3: { object: { eTag: string } } }];
    };
    const etag = sent.Records[0].s3.object.eTag;
    const bridged = {
      source: 'aws.s3',
      'detail-type': 'Object Created',
      detail: { bucket: { name: pipeline.stack.buckets.images }, object: { key, size: 1, etag } },
    };
    const [triggered] = await pipeline.stack.trigger(form === 'Records' ? sent : bridged);
    // The upload's own event comes at about the same time; which of the two starts it does not matter.
    expect(triggered).toMatchObject({ key, outcome: expect.stringMatching(/started|running|done/) });
    await pipeline.stack.stepFunctions.wait(executionOf(triggered));
    expect(await pipeline.difference(`${key}.raw`, raw(path))).toBeUndefined();
  });

  it('that is a test, or of an object that is no image, starts nothing', async () => {
    expect(await pipeline.stack.trigger({ Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'b' })).toEqual([]);
    await pipeline.put(image('other.qcow2', '1M'), 'notes.txt');
    const event = await notification(pipeline.stores, pipeline.stack.buckets.images, 'notes.txt');
    expect(await pipeline.stack.trigger(event)).toEqual([
      { bucket: pipeline.stack.buckets.images, key: 'notes.txt', outcome: 'ignored', why: 'its suffix' },
    ]);
  });

  it('of what only looks like an image, or is gone or replaced, starts nothing and fails nothing', async () => {
    const { stack, stores } = pipeline;
    const { images } = stack.buckets;
    const path = join(folder, 'only-a-name.qcow2');
    writeFileSync(path, 'hello');
    await pipeline.put(path, 'only-a-name.qcow2');
    const named = await notification(stores, images, 'only-a-name.qcow2');
    const ignored = { bucket: images, key: 'only-a-name.qcow2', outcome: 'ignored' };
    expect(await stack.trigger(named)).toEqual([{ ...ignored, why: 'NOT_QCOW' }]);
    writeFileSync(path, 'hello again');
    await pipeline.put(path, 'only-a-name.qcow2');
    expect(await stack.trigger(named)).toEqual([{ ...ignored, why: 'SOURCE_CHANGED' }]);
    await stores.writer.send(new DeleteObjectCommand({ Bucket: images, Key: 'only-a-name.qcow2' }));
    expect(await stack.trigger(named)).toEqual([{ ...ignored, why: 'SOURCE_CHANGED' }]);
    const elsewhere = structuredClone(named) as { Records: [{ s3: { bucket: { name: string } } }] };
    elsewhere.Records[0].s3.bucket.name = 'somewhere-else';
    expect(await stack.trigger(elsewhere)).toEqual([{ ...ignored, bucket: 'somewhere-else', why: 'NOT_ALLOWED' }]);
  });

  it('that is neither form is refused: BAD_REQUEST', async () => {
    await expect(pipeline.stack.trigger({ hello: 'world' })).rejects.toMatchObject({ name: 'BAD_REQUEST' });
  });
});
