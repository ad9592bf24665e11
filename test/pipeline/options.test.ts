import { execFileSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import type { ClientRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../lib/version.ts';
import { targetKind } from '../s3/target.ts';
import { SMALL_PARTS, sixParts } from './small-world.ts';
import { usePipeline } from './use-pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-options-'));
afterAll(() => rmSync(folder, { recursive: true }));

function whole(name: string, pattern: number): { readonly path: string; readonly raw: string } {
  const path = join(folder, name);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '3M']);
  execFileSync('qemu-io', ['-c', `write -P ${pattern} 1M 64k`, path]);
  execFileSync('qemu-img', ['convert', '-O', 'raw', path, `${path}.raw`]);
  return { path, raw: `${path}.raw` };
}

/** A disk that one function makes whole, and one that is made in parts, each with two different contents. */
const IMAGES = {
  whole: [whole('whole-1', 1), whole('whole-2', 2)],
  parts: [sixParts(folder, 'parts-1', 1), sixParts(folder, 'parts-2', 2)],
} as const;
const WAYS = ['whole', 'parts'] as const;
type Way = (typeof WAYS)[number];

describe.runIf(targetKind === 'ours')('a conversion’s options', () => {
  /** Done just before Complete is asked to put an object together there. */
  const beforeComplete = new Map<string, () => Promise<unknown>>();
  const pipeline = usePipeline({
    limits: SMALL_PARTS,
    lambda: (name, create) => {
      const run = create();
      if (name !== 'complete') return run;
      return async (input, context) => {
        const { key } = (input as { destination: { key: string } }).destination;
        await beforeComplete.get(key)?.();
        return run(input, context);
      };
    },
  });
  beforeAll(async () => {
    for (const way of WAYS) {
      await pipeline.put(IMAGES[way][0].path, `${way}-1`);
      await pipeline.put(IMAGES[way][1].path, `${way}-2`);
    }
  });
  const convert = (image: string, key: string, options?: object, more: object = {}) =>
    pipeline.convert({
      source: { bucket: pipeline.stack.buckets.images, key: image },
      destination: { bucket: pipeline.stack.buckets.raw, key },
      ...(options ? { options } : {}),
      ...more,
    });
  const head = (Key: string) =>
    pipeline.client.send(new HeadObjectCommand({ Bucket: pipeline.stack.buckets.raw, Key }));
  const putForeign = (Key: string) =>
    pipeline.client.send(new PutObjectCommand({ Bucket: pipeline.stack.buckets.raw, Key, Body: 'somebody’s' }));
  const isForeign = async (key: string) => (await head(key)).ContentLength === Buffer.byteLength('somebody’s');
  const rawOf = (way: Way, which: 0 | 1) => IMAGES[way][which].raw;

  it.each(WAYS)('say how the raw object is kept, and it says where it came from: %s', async (way) => {
    const kmsKeyId = 'arn:aws:kms:us-east-1:000000000000:key/1';
    const options = {
      storageClass: 'GLACIER_IR',
      sse: 'aws:kms',
      kmsKeyId,
      tags: { project: 'a & b', 'cost centre': 'ü=1' },
      metadata: { colour: 'red' },
    };
    const ended = await convert(`${way}-1`, `kept-${way}`, options);
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { proven: true } });
    const source = await pipeline.client.send(
      new HeadObjectCommand({ Bucket: pipeline.stack.buckets.images, Key: `${way}-1` }),
    );
    expect(await head(`kept-${way}`)).toMatchObject({
      StorageClass: 'GLACIER_IR',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: kmsKeyId,
      TagCount: 2,
      ContentType: 'application/octet-stream',
      Metadata: {
        colour: 'red',
        'unqcow-version': VERSION,
        'unqcow-source': `s3://${pipeline.stack.buckets.images}/${way}-1`,
        'unqcow-source-etag': source.ETag?.replaceAll('"', ''),
      },
    });
    expect(await pipeline.difference(`kept-${way}`, rawOf(way, 0))).toBeUndefined();
  });

  it.each(WAYS)('leave all else as the bucket has it: %s', async (way) => {
    await convert(`${way}-1`, `plain-${way}`);
    const { StorageClass, ServerSideEncryption, TagCount, Metadata } = await head(`plain-${way}`);
    expect({ StorageClass, ServerSideEncryption, TagCount }).toEqual({ ServerSideEncryption: 'AES256' });
    expect(Object.keys(Metadata ?? {}).toSorted()).toEqual(['unqcow-source', 'unqcow-source-etag', 'unqcow-version']);
  });

  it.each(WAYS)('replace what unqcow made, and nothing else, unless they say so: %s', async (way) => {
    const key = `there-${way}`;
    await convert(`${way}-1`, key);
    expect(await convert(`${way}-2`, key)).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference(key, rawOf(way, 1))).toBeUndefined();
    expect(await convert(`${way}-1`, key, { overwrite: 'never' })).toMatchObject({ error: 'DESTINATION_EXISTS' });
    expect(await pipeline.difference(key, rawOf(way, 1))).toBeUndefined();
    await putForeign(key);
    expect(await convert(`${way}-1`, key)).toMatchObject({ status: 'FAILED', error: 'DESTINATION_EXISTS' });
    expect(await isForeign(key)).toBe(true);
    expect(await convert(`${way}-1`, key, { overwrite: 'always' })).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference(key, rawOf(way, 0))).toBeUndefined();
    expect(await pipeline.openUploads()).toEqual([]);
  });

  it('keep what somebody else put there while the job ran: DESTINATION_EXISTS', async () => {
    beforeComplete.set('appears', () => putForeign('appears'));
    expect(await convert('parts-1', 'appears')).toMatchObject({ status: 'FAILED', error: 'DESTINATION_EXISTS' });
    expect(await isForeign('appears')).toBe(true);
    await convert('parts-1', 'replaced');
    beforeComplete.set('replaced', () => putForeign('replaced'));
    expect(await convert('parts-2', 'replaced')).toMatchObject({ error: 'DESTINATION_EXISTS' });
    expect(await isForeign('replaced')).toBe(true);
    expect(await pipeline.openUploads()).toEqual([]);
  });

  it('replace what another conversion put there while the job ran', async () => {
    beforeComplete.set('raced', async () => {
      beforeComplete.delete('raced');
      await convert('parts-2', 'raced');
    });
    expect(await convert('parts-1', 'raced')).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference('raced', rawOf('parts', 0))).toBeUndefined();
  });

  it.each([
    ['metadata under our names', { metadata: { 'unqcow-source': 's3://forged/' } }],
    ['more metadata than S3 takes', { metadata: { long: 'x'.repeat(2000) } }],
    ['metadata that no header can hold', { metadata: { colour: 'grün' } }],
    ['a KMS key without KMS', { kmsKeyId: 'key' }],
    ['more tags than S3 takes', { tags: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`tag${i}`, ''])) }],
    ['a class that there is none of', { storageClass: 'CHEAP' }],
    ['an encryption that there is none of', { sse: 'rot13' }],
  ])('are refused with %s: BAD_REQUEST', async (_what, options) => {
    expect(await convert('parts-1', 'refused', options)).toMatchObject({ status: 'FAILED', error: 'BAD_REQUEST' });
  });

  it('name the account that buckets have to belong to', async () => {
    const { images: bucket, raw } = pipeline.stack.buckets;
    const terms = (source: string, target: string) => ({
      source: { bucket, key: 'parts-1', owner: source, requestPayer: true },
      destination: { bucket: raw, key: 'owned', owner: target },
    });
    const [ours, others] = ['000000000000', '111111111111'];
    expect(await pipeline.convert(terms(others, ours))).toMatchObject({ error: 'SOURCE_DENIED' });
    expect(await pipeline.convert(terms(ours, others))).toMatchObject({ error: 'DESTINATION_DENIED' });
    expect(await pipeline.convert(terms(ours, ours))).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference('owned', rawOf('parts', 0))).toBeUndefined();
  });

  it.each(WAYS)('name it to every request for the image and for the raw object: %s', async (way) => {
    const { images, raw } = pipeline.stack.buckets;
    const owner = '000000000000';
    const seen: { readonly to: string; readonly owner: unknown }[] = [];
    const look = (message: unknown) => {
      const { request } = message as { readonly request: ClientRequest };
      const isAboutThem = [images, raw].some((bucket) => request.path.startsWith(`/${bucket}/`));
      const to = `${request.method} ${request.path}`;
      if (isAboutThem) seen.push({ to, owner: request.getHeader('x-amz-expected-bucket-owner') });
    };
    subscribe('http.client.request.start', look);
    const source = { bucket: images, key: `${way}-1`, owner };
    for (const _time of ['new', 'replaced']) {
      const ended = await pipeline.convert({ source, destination: { bucket: raw, key: `all-${way}`, owner } });
      expect(ended).toMatchObject({ status: 'SUCCEEDED' });
    }
    unsubscribe('http.client.request.start', look);
    expect(seen.length).toBeGreaterThan(10);
    expect(seen.filter((each) => each.owner !== owner)).toEqual([]);
  });

  it.each(['GLACIER', 'DEEP_ARCHIVE'] as const)(
    'cannot bring back what is in %s: SOURCE_ARCHIVED',
    async (StorageClass) => {
      const { path } = IMAGES.parts[0];
      const Body = createReadStream(path);
      const Bucket = pipeline.stack.buckets.images;
      const ContentLength = statSync(path).size;
      await pipeline.client.send(
        new PutObjectCommand({ Bucket, Key: StorageClass, Body, ContentLength, StorageClass }),
      );
      expect(await convert(StorageClass, 'archived')).toMatchObject({ status: 'FAILED', error: 'SOURCE_ARCHIVED' });
    },
  );
});
