import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Buffers } from '../../lib/chunk/buffers.ts';
import { UnqcowError } from '../../lib/errors.ts';
import { completeJob, readPlan } from '../../lib/jobs/complete-job.ts';
import {
  DEFAULT_OPTIONS,
  digestOf,
  type Planned,
  type PlanRecord,
  pinsOf,
  type Share,
} from '../../lib/jobs/conversion.ts';
import { convertHere } from '../../lib/jobs/convert-here.ts';
import { convertShare, makePart, recordFailure } from '../../lib/jobs/convert-share.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { planJob } from '../../lib/jobs/plan-job.ts';
import { openStores } from '../../lib/jobs/stores.ts';
import { describeRaw } from '../../lib/sink/s3-description.ts';
import { listUploads } from '../../lib/sink/s3-listing.ts';
import { abortUpload, createUpload } from '../../lib/sink/s3-multipart.ts';
import { getText } from '../../lib/sink/s3-object.ts';
import type { Upload } from '../../lib/sink/s3-target.ts';
import { putWhole } from '../../lib/sink/s3-whole.ts';
import { openFile } from '../../lib/source/file.ts';
import { openS3 } from '../../lib/source/s3.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { type Fault, knowsNoChecksums, useFaultyS3 } from '../support/faulty-s3.ts';
import { STORE } from '../support/store.ts';

const pipeline = usePipeline();
const faulty = useFaultyS3(() => pipeline.stack.store.endpoint);
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

const recordOf = (job: string, uploadId: string) => place('work', `some/folder/open/${job}/uploads/${uploadId}`);

/** When the store was told where a job's raw disk goes. */
async function openSince(job: string): Promise<Date | undefined> {
  const { bucket: Bucket, key: Prefix } = place('work', `some/folder/open/${job}/destination.json`);
  const { Contents = [] } = await pipeline.client.send(new ListObjectsV2Command({ Bucket, Prefix }));
  return Contents[0]?.LastModified;
}

async function plan(
  key: string,
  job = key,
  { stores = pipeline.stores, destination = place('raw', `${key}.raw`) } = {},
): Promise<Extract<Planned, { mode: 'parts' }>> {
  const deps = { stores, work: { bucket: pipeline.stack.buckets.work, prefix: 'some/folder/' } };
  const request = { job, source: place('images', key), destination, options: DEFAULT_OPTIONS };
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
    upload = await createUpload(pipeline.stores.writer, planned.destination, describeRaw({}));
  });

  const convert = (share: Share) => convertShare({ stores: pipeline.stores }, share, upload.uploadId);
  const complete = (results: Awaited<ReturnType<typeof convert>>[]) =>
    completeJob(pipeline.stores, record, results, upload.uploadId);
  const difference = () => pipeline.difference(planned.destination.key, raw);

  it('planned twice writes the same records, and has both its uploads on record', async () => {
    const before = await getText(pipeline.stores.writer, planned.items);
    const since = await openSince(planned.job);
    const again = await plan(planned.source.key);
    // From then on the sweeper looks for uploads that are on no record.
    expect(await openSince(planned.job)).toEqual(since);
    expect(again).toEqual({ ...planned, upload: again.upload });
    expect(await getText(pipeline.stores.writer, planned.items)).toBe(before);
    for (const { uploadId } of [planned.upload, again.upload]) {
      const record = await getText(pipeline.stores.writer, recordOf(planned.job, uploadId));
      expect(JSON.parse(record)).toEqual({ ...planned.destination, uploadId });
    }
  });

  it('whose upload cannot be put on record has none', async () => {
    const { writer } = pipeline.stores;
    const opened: string[] = [];
    const refusing = Object.create(writer, {
      send: {
        async value(command: Parameters<typeof writer.send>[0], ...rest: []) {
          const { Key = '' } = command.input as { Key?: string };
          if (command instanceof PutObjectCommand && Key.includes('/uploads/')) {
            opened.push(Key.split('/').at(-1) ?? '');
            throw new UnqcowError('DESTINATION_DENIED', 'not here');
          }
          return writer.send(command, ...rest);
        },
      },
    });
    const stores = { ...pipeline.stores, writer: refusing };
    await expect(plan(planned.source.key, 'unrecorded', { stores })).rejects.toMatchObject({
      code: 'DESTINATION_DENIED',
    });
    expect(opened).toHaveLength(1);
    const uploads = await listUploads(writer, planned.destination.bucket, planned.destination.key);
    expect(uploads.map(({ uploadId }) => uploadId)).not.toContain(opened[0]);
  });

  it('to a bucket that is not there is refused by its plan: DESTINATION_NOT_FOUND', async () => {
    const destination = { bucket: 'no-such-bucket', key: 'disk.raw' };
    await expect(plan(planned.source.key, 'nowhere', { destination })).rejects.toMatchObject({
      code: 'DESTINATION_NOT_FOUND',
    });
  });

  it('says in its plan what it will take, and holds what it moved to that', async () => {
    const { estimate, parts } = record;
    const moved = parts.filter(({ kind }) => kind === 'data');
    expect(estimate.bytes.uploaded).toBe(moved.reduce((sum, { start, end }) => sum + end - start, 0));
    const results = await Promise.all(shares.map(convert));
    const read = results.reduce((sum, { cost }) => sum + cost.bytes, 0);
    const tables = moved.length * 64 * KiB;
    expect(read).toBeLessThanOrEqual(1.02 * estimate.bytes.read + tables);
  });

  it('whose worker ran twice, the second time after its receipts were written, is whole all the same', async () => {
    const results = await Promise.all(shares.map(convert));
    const again = await convert(shares[0] as Share);
    const result = await complete([...results, again]);
    expect(result.proven).toBe(STORE.checksums);
    expect(await difference()).toBeUndefined();
  });

  it('whose workers were given shares of two plans, of an image that changed between them, is refused', async () => {
    const results = await Promise.all(shares.map(convert));
    const [first] = shares as [Share, ...Share[]];
    const layers = first.layers.map(({ source, ...layer }) => ({
      ...layer,
      source: { ...source, etag: '"of before"' },
    }));
    expect(digestOf(pinsOf(layers))).not.toBe(results[0]?.pins);
    const mixed = results.map((result) =>
      result.share === 0 ? { ...result, pins: digestOf(pinsOf(layers)) } : result,
    );
    await expect(complete(mixed)).rejects.toMatchObject({ code: 'RECEIPTS_MISMATCH' });
    await complete(results);
    expect(await difference()).toBeUndefined();
  });

  it('that is completed twice, since the first answer was lost, is a success both times', async () => {
    const results = await Promise.all(shares.map(convert));
    const first = await complete(results);
    expect(await complete(results)).toEqual(first);
    expect(await difference()).toBeUndefined();
  });

  it('that is completed twice in a store that keeps no checksums is one too, though nothing is proven', async () => {
    faulty.when(() => true, ...Array<Fault>(100).fill(knowsNoChecksums));
    const { writer } = openStores({ ...pipeline.stack.store, endpoint: faulty.endpoint });
    const results = await Promise.all(shares.map(convert));
    const again = () => completeJob({ ...pipeline.stores, writer }, record, results, upload.uploadId);
    const first = await again();
    expect(first.proven).toBe(false);
    expect(await again()).toEqual(first);
    expect(await difference()).toBeUndefined();
    writer.destroy();
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
    await expect(convertShare({ stores: pipeline.stores }, withData, 'no-such-upload')).rejects.toMatchObject({
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

describe('a destination that the disk is read from', () => {
  const deps = () => ({ stores: pipeline.stores, work: { bucket: pipeline.stack.buckets.work, prefix: '' } });
  const own = { backing: ['-b', 'other', '-F', 'raw'], data: ['-o', 'data_file=other'] };

  it.each([
    ['backing', '100M'],
    ['backing', '300M'],
    ['data', '100M'],
    ['data', '300M'],
  ] as const)('as its %s file is refused, though it is ours: a disk of %s', async (kind, size) => {
    const key = `${kind}-${size}`;
    const at = { cwd: await mkdtemp(join(folder, 'own-')) };
    if (kind === 'backing') execFileSync('qemu-img', ['create', '-q', '-f', 'raw', 'other', '1M'], at);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...own[kind], 'image', size], at);
    await pipeline.put(join(at.cwd, 'image'), key);
    const body = Readable.from([Buffer.alloc(1 * MiB, 7)]);
    await putWhole(pipeline.stores.writer, place('raw', key), body, 1 * MiB, { description: describeRaw({}) });
    const places = { other: `s3://${pipeline.stack.buckets.raw}/${key}` };
    const request = {
      job: key,
      source: place('images', key),
      options: DEFAULT_OPTIONS,
      gate: { allow: [], places, backingFormats: {} },
    };
    await expect(planJob(deps(), { ...request, destination: place('raw', key) })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      at: 'request.destination',
    });
    const planned = await planJob(deps(), { ...request, destination: place('raw', key.slice(0, -1)) });
    expect(planned.mode).toBe(size === '100M' ? 'whole' : 'parts');
    if (planned.mode === 'parts') {
      await abortUpload(pipeline.stores.writer, { ...planned.destination, ...planned.upload });
    }
  });
});

it.runIf(STORE.trailers)('a data part that is too large for memory is streamed, and is the same', async () => {
  const source = await openFile(path);
  const disk = await openDisk(source, { kind: 'file', path });
  const target = { ...place('raw', 'streamed.raw') };
  const upload = await createUpload(pipeline.stores.writer, target);
  const buffers = new Buffers(128 * MiB, 1);
  const maker = { writer: pipeline.stores.writer, upload, layersOf: () => disk.layers, buffers };
  const task = { kind: 'data' as const, number: 1, start: 64 * MiB, end: 192 * MiB, stored: 1, slices: [null] };
  const whole = await makePart(maker, task);
  const streamed = await makePart({ ...maker, maxAssembled: 64 * MiB }, task);
  expect(streamed).toEqual(whole);
  await abortUpload(pipeline.stores.writer, upload);
  await disk.close();
  await source.close();
});

describe('a conversion on one machine', () => {
  const location = { kind: 'file' as const, path: 'disk.qcow2' };
  const options = { overwrite: 'always', copyParts: true, zeroParts: true } as const;
  const work = () => ({ bucket: pipeline.stack.buckets.work, prefix: '' });
  const toS3 = (key: string, withWork: boolean) => ({
    kind: 's3' as const,
    stores: pipeline.stores,
    target: place('raw', key),
    work: withWork ? work() : undefined,
  });

  it.each([
    ['with a place for an object of zeros', true, { copy: 2, data: 1, zero: 3 }],
    ['with one beside the target meanwhile', false, { copy: 2, data: 1, zero: 6 }],
  ])('from S3 to S3, %s, makes the same object', async (_, withWork, parts) => {
    await pipeline.put(path, 'here');
    const source = await openS3(pipeline.stores.reader, place('images', 'here'));
    const target = toS3(`here-${withWork}.raw`, withWork);
    const result = await convertHere({ source, location, copySource: source.pin, target, options, workers: 3 });
    expect(result.parts).toEqual(parts);
    expect(await pipeline.difference(target.target.key, raw)).toBeUndefined();
    const { Contents: left } = await pipeline.stores.writer.send(
      new ListObjectsV2Command({ Bucket: target.target.bucket, Prefix: `${target.target.key}.` }),
    );
    expect(left).toBeUndefined();
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
