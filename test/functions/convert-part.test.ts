import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../functions/_shared/config.ts';
import { depsFor } from '../../functions/_shared/deps.ts';
import { createHandler } from '../../functions/convert-part.ts';
import { lambdaContext } from '../../infra/local/step-functions/lambda-task.ts';
import { DEFAULT_OPTIONS, type Share } from '../../lib/jobs/conversion.ts';
import { planJob } from '../../lib/jobs/plan-job.ts';
import { createUpload } from '../../lib/sink/s3-multipart.ts';
import { getText, putJson } from '../../lib/sink/s3-object.ts';
import type { Upload } from '../../lib/sink/s3-target.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';

const pipeline = usePipeline();
const logged: unknown[] = [];
const log = { info: (...each: unknown[]) => logged.push(each), warn: () => undefined, error: () => undefined } as never;

let folder: string;
let share: Share;
let upload: Upload;
let counter = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-part-'));
  const path = join(folder, 'disk');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '300M']);
  execFileSync('qemu-io', ['-c', 'write -P 1 0 1M', path]);
  await pipeline.put(path, 'disk');
  const { images, raw, work } = pipeline.stack.buckets;
  const request = {
    job: 'job',
    source: { bucket: images, key: 'disk' },
    destination: { bucket: raw, key: 'disk.raw' },
  };
  const deps = { stores: pipeline.stores, work: { bucket: work, prefix: '' } };
  const planned = await planJob(deps, { ...request, options: DEFAULT_OPTIONS });
  if (planned.mode !== 'parts') throw new Error('the disk is too small');
  share = JSON.parse((await getText(pipeline.stores.writer, planned.items)).split('\n')[0] as string) as Share;
  upload = await createUpload(pipeline.stores.writer, planned.destination);
});
afterAll(() => rm(folder, { recursive: true }));

function handle(event: unknown) {
  const { images, raw, work } = pipeline.stack.buckets;
  const config = readConfig({
    UNQCOW_SOURCES: `s3://${images}`,
    UNQCOW_DESTINATIONS: `s3://${raw}/`,
    UNQCOW_WORK: `s3://${work}/`,
  });
  const context = lambdaContext('arn:aws:lambda:us-east-1:000000000000:function:convert-part', Date.now() + 60_000);
  return createHandler(depsFor(config, log, pipeline.stack.store))(event, context);
}

const failure = (job = 'job') => ({ bucket: pipeline.stack.buckets.work, key: `jobs/${job}/failure.json` });
const wordOf = async (job?: string) => JSON.parse(await getText(pipeline.stores.writer, failure(job)));
const event = (more: object = {}) => ({ share, uploadId: upload.uploadId, failure: failure(), ...more });

describe('a worker', () => {
  it('makes the parts of its share, and gives their receipts', async () => {
    const { receipts, cost } = await handle(event());
    expect(receipts).toMatchObject(share.parts.map(({ number, start, end }) => ({ number, length: end - start })));
    // Of the table the entries of the first part, which has 1 MiB of data and is as small as S3 takes.
    const [first] = share.parts;
    expect(first).toMatchObject({ kind: 'data', start: 0, end: 5 * 1024 * 1024 });
    expect(cost).toEqual({ requests: 2, bytes: (5 * 1024 * 1024 * 8) / 65_536 + 1024 * 1024 });
  });

  it('fetches a share that was too long for a state', async () => {
    const at = { bucket: pipeline.stack.buckets.work, key: 'jobs/job/shares/0.json' };
    await putJson(pipeline.stores.writer, at, share);
    expect(await handle(event({ share: { share: 0, at } }))).toEqual(await handle(event()));
  });

  it('leaves word of why it failed', async () => {
    const source = { ...share.source, etag: '"0123456789abcdef0123456789abcdef"' };
    const layers = share.layers.map((layer) => ({ ...layer, source }));
    await expect(handle(event({ share: { ...share, layers } }))).rejects.toMatchObject({ name: 'SOURCE_CHANGED' });
    expect(await wordOf()).toMatchObject({ code: 'SOURCE_CHANGED' });
  });

  it.each([
    [
      'a source',
      (s: Share) => ({
        ...s,
        layers: s.layers.map((each) => ({ ...each, source: { ...each.source, bucket: 'elsewhere' } })),
      }),
    ],
    ['a destination', (s: Share) => ({ ...s, destination: { bucket: 'elsewhere', key: 'x' } })],
    ['a record', (s: Share) => ({ share: s.share, at: { bucket: 'elsewhere', key: 'x' } })],
  ])('refuses %s that is not allowed, and asks the store for nothing but to leave word of that', async (_, change) => {
    const job = `refused-${counter++}`;
    const before = pipeline.stack.s3?.metrics().requests ?? {};
    const refused = handle(event({ failure: failure(job), share: change(share) }));
    await expect(refused).rejects.toMatchObject({ name: 'NOT_ALLOWED' });
    const after = pipeline.stack.s3?.metrics().requests ?? {};
    expect(after).toEqual({ ...before, PutObject: (before.PutObject ?? 0) + 1 });
    expect(await wordOf(job)).toMatchObject({ code: 'NOT_ALLOWED' });
  });

  it('refuses to leave word where that is not allowed, before it asks the store', async () => {
    const before = pipeline.stack.s3?.metrics();
    const refused = handle(event({ failure: { bucket: 'elsewhere', key: 'jobs/job/failure.json' } }));
    await expect(refused).rejects.toMatchObject({ name: 'NOT_ALLOWED' });
    expect(pipeline.stack.s3?.metrics()).toEqual(before);
  });

  it.each([
    ['a share that is none', 'BAD_REQUEST', () => ({ share: { parts: [] } })],
    ['no upload', 'BAD_REQUEST', () => ({ uploadId: '' })],
    [
      'a share that is not where it should be',
      'RECEIPTS_MISMATCH',
      () => ({ share: { share: 0, at: failure('none') } }),
    ],
  ])('leaves word of %s: %s', async (_, code, wrong) => {
    const job = `malformed-${counter++}`;
    await expect(handle(event({ failure: failure(job), ...wrong() }))).rejects.toMatchObject({ name: code });
    expect(await wordOf(job)).toMatchObject({ code });
  });

  it.each([
    ['nothing', {}],
    ['no parts', { share: { parts: [] } }],
    ['a text', 'hello'],
  ])('refuses an event that is %s: BAD_REQUEST', async (_, wrong) => {
    await expect(handle(wrong)).rejects.toMatchObject({ name: 'BAD_REQUEST' });
  });
});
