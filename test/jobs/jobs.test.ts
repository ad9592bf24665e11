import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UnqcowError } from '../../lib/errors.ts';
import { completeJob, readPlan } from '../../lib/jobs/complete-job.ts';
import { DEFAULT_OPTIONS, type Planned, type PlanRecord, type Share } from '../../lib/jobs/conversion.ts';
import { convertHere } from '../../lib/jobs/convert-here.ts';
import { convertShare, recordFailure } from '../../lib/jobs/convert-share.ts';
import { planJob } from '../../lib/jobs/plan-job.ts';
import { createUpload, type Upload } from '../../lib/sink/s3-multipart.ts';
import { getText } from '../../lib/sink/s3-object.ts';
import { openFile } from '../../lib/source/file.ts';
import { openS3 } from '../../lib/source/s3.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { STORE } from '../support/store.ts';

const pipeline = usePipeline();
let folder: string;
let path: string;
let raw: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-jobs-'));
  path = join(folder, 'disk.qcow2');
  raw = join(folder, 'disk.raw');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '400M']);
  const writes = ['write -P 1 0 80M', 'write -c -P 2 100M 64k', 'write -P 3 300M 70M'];
  execFileSync('qemu-io', [...writes.flatMap((write) => ['-c', write]), path]);
  execFileSync('qemu-img', ['convert', '-O', 'raw', path, raw]);
});
afterAll(() => rm(folder, { recursive: true }));

const place = (kind: 'images' | 'raw' | 'work', key: string) => ({ bucket: pipeline.stack.buckets[kind], key });

async function plan(key: string, job = key): Promise<Extract<Planned, { mode: 'parts' }>> {
  const deps = { stores: pipeline.stores, work: { bucket: pipeline.stack.buckets.work, prefix: 'some/folder/' } };
  const request = {
    job,
    source: place('images', key),
    destination: place('raw', `${key}.raw`),
    options: DEFAULT_OPTIONS,
  };
  const planned = await planJob(deps, request);
  if (planned.mode !== 'parts') throw new Error('the disk is too small for this test');
  return planned;
}

async function sharesOf(planned: Extract<Planned, { mode: 'parts' }>): Promise<Share[]> {
  const items = await getText(pipeline.stores.writer, planned.items);
  return items
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Share);
}

describe('a job in parts', () => {
  let planned: Extract<Planned, { mode: 'parts' }>;
  let record: PlanRecord;
  let shares: Share[];
  let upload: Upload;

  beforeEach(async ({ task }) => {
    const key = `job-${task.id}`;
    await pipeline.put(path, key);
    planned = await plan(key);
    record = await readPlan(pipeline.stores, planned.plan);
    shares = await sharesOf(planned);
    upload = await createUpload(pipeline.stores.writer, planned.destination);
  });

  const convert = (share: Share) => convertShare(pipeline.stores, share, upload.uploadId);
  const complete = (results: Awaited<ReturnType<typeof convert>>[]) =>
    completeJob(pipeline.stores, record, results, upload.uploadId);
  const difference = () => pipeline.difference(planned.destination.key, raw);

  it('planned twice writes the same records', async () => {
    const before = await getText(pipeline.stores.writer, planned.items);
    expect(await plan(planned.source.key)).toEqual(planned);
    expect(await getText(pipeline.stores.writer, planned.items)).toBe(before);
  });

  it('whose worker ran twice, the second time after its receipts were written, is whole all the same', async () => {
    const results = await Promise.all(shares.map(convert));
    const again = await convert(shares[0] as Share);
    const result = await complete([...results, again]);
    expect(result.proven).toBe(STORE.checksums);
    expect(await difference()).toBeUndefined();
  });

  it('that is completed twice, since the first answer was lost, is a success both times', async () => {
    const results = await Promise.all(shares.map(convert));
    const first = await complete(results);
    const second = complete(results);
    // Without checksums there is no telling whether the object that is there is ours.
    if (STORE.checksums) expect(await second).toEqual(first);
    else
      await expect(second).rejects.toMatchObject({
        code: expect.stringMatching(/UPLOAD_GONE|DESTINATION_UNAVAILABLE/),
      });
    expect(await difference()).toBeUndefined();
  });

  it('that lacks a part is not completed: RECEIPTS_MISMATCH', async () => {
    const results = await Promise.all(shares.slice(1).map(convert));
    await expect(complete(results)).rejects.toMatchObject({ code: 'RECEIPTS_MISMATCH' });
  });

  it('whose store has other bytes than were made is not completed: RECEIPTS_MISMATCH', async () => {
    const results = await Promise.all(shares.map(convert));
    const [first, ...rest] = results as [(typeof results)[0]];
    const receipts = first.receipts.map((receipt) => ({
      ...receipt,
      crc32: 'AAAAAA==',
      etag: '"00000000000000000000000000000000"',
    }));
    await expect(complete([{ ...first, receipts }, ...rest])).rejects.toMatchObject({ code: 'RECEIPTS_MISMATCH' });
  });

  it('whose image is replaced before it is read ends: SOURCE_CHANGED', async () => {
    await pipeline.put(raw, planned.source.key);
    const withData = shares.find(({ parts }) => parts.some(({ kind }) => kind === 'data'));
    await expect(convert(withData as Share)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });

  it('whose image is replaced after it was read is not completed: SOURCE_CHANGED', async () => {
    const results = await Promise.all(shares.map(convert));
    await pipeline.put(raw, planned.source.key);
    await expect(complete(results)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });

  it('whose upload is gone says so: UPLOAD_GONE', async () => {
    const withData = shares.find(({ parts }) => parts.some(({ kind }) => kind === 'data')) as Share;
    await expect(convertShare(pipeline.stores, withData, 'no-such-upload')).rejects.toMatchObject({
      code: expect.stringMatching(/UPLOAD_GONE|DESTINATION/),
    });
  });

  it('keeps the word of what ended it, over the word of what might have passed', async () => {
    const word = async () => JSON.parse(await getText(pipeline.stores.writer, planned.failure));
    const passing = new UnqcowError('SOURCE_UNAVAILABLE', 'S3 was slow');
    const final = new UnqcowError('DECOMPRESS_FAILED', 'the stream is damaged', { at: 'disk[0]' });
    await recordFailure(pipeline.stores, planned.failure, passing);
    expect(await word()).toEqual({ code: 'SOURCE_UNAVAILABLE', message: 'S3 was slow' });
    await recordFailure(pipeline.stores, planned.failure, final);
    await recordFailure(pipeline.stores, planned.failure, passing);
    expect(await word()).toEqual({ code: 'DECOMPRESS_FAILED', message: 'the stream is damaged', at: 'disk[0]' });
  });
});

describe('a conversion on one machine', () => {
  const location = { kind: 'file' as const, path: 'disk.qcow2' };
  const options = { overwrite: true, copyParts: true, zeroParts: true };
  const work = () => ({ bucket: pipeline.stack.buckets.work, prefix: '' });
  const toS3 = (key: string, withWork: boolean) => ({
    kind: 's3' as const,
    stores: pipeline.stores,
    target: place('raw', key),
    work: withWork ? work() : undefined,
  });

  it.each([
    ['with an object of zeros to copy from', true, { copy: 1, data: 3, zero: 2 }],
    ['without', false, { copy: 1, data: 6, zero: 0 }],
  ])('from S3 to S3, %s, makes the same object', async (_, withWork, parts) => {
    await pipeline.put(path, 'here');
    const source = await openS3(pipeline.stores.reader, place('images', 'here'));
    const target = toS3(`here-${withWork}.raw`, withWork);
    const result = await convertHere({ source, location, copySource: source.pin, target, options, workers: 3 });
    expect(result.parts).toEqual(parts);
    expect(await pipeline.difference(target.target.key, raw)).toBeUndefined();
  });

  it('from a file to S3 copies nothing within the store', async () => {
    const source = await openFile(path);
    const result = await convertHere({
      source,
      location,
      copySource: undefined,
      target: toS3('file.raw', true),
      options,
      workers: 3,
    });
    expect(result.parts).toMatchObject({ copy: 0 });
    expect(await pipeline.difference('file.raw', raw)).toBeUndefined();
    await source.close();
  });

  it('from S3 to a file says how far it is', async () => {
    await pipeline.put(path, 'there');
    const source = await openS3(pipeline.stores.reader, place('images', 'there'));
    const target = { kind: 'file' as const, path: join(folder, 'made.raw') };
    const seen: number[] = [];
    const onProgress = (done: number) => seen.push(done);
    await convertHere({ source, location, copySource: source.pin, target, options, workers: 2, onProgress });
    execFileSync('cmp', [target.path, raw]);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(400 * 1024 * 1024);
  });

  it('that is stopped leaves no upload open and no object', async () => {
    const source = await openFile(path);
    const stop = new AbortController();
    const target = toS3('stopped.raw', true);
    const onProgress = () => stop.abort(new UnqcowError('ABORTED', 'stopped'));
    const stopped = convertHere({
      source,
      location,
      copySource: undefined,
      target,
      options,
      workers: 1,
      signal: stop.signal,
      onProgress,
    });
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await pipeline.openUploads()).not.toContain('stopped.raw');
    await expect(
      pipeline.client.send(new GetObjectCommand({ Bucket: target.target.bucket, Key: 'stopped.raw' })),
    ).rejects.toThrow();
    await source.close();
  });
});
