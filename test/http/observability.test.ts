import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@aws-lambda-powertools/logger';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readConfig } from '../../functions/_shared/config.ts';
import { depsFor } from '../../functions/_shared/deps.ts';
import { type Counts, emfEmitter } from '../../functions/_shared/metrics.ts';
import { createHandler as createPlan } from '../../functions/plan.ts';
import { lambdaContext } from '../../infra/local/step-functions/lambda-task.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { ask, post } from './ask.ts';

/** Powertools writes to the console where this is set; elsewhere around it. */
vi.stubEnv('POWERTOOLS_DEV', 'true');
vi.stubEnv('POWERTOOLS_METRICS_DISABLED', 'false');
const lines: string[] = [];
for (const level of ['log', 'info', 'warn', 'error'] as const) {
  vi.spyOn(console, level).mockImplementation((line: string) => void lines.push(line));
}
const logged = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
const emitted: { counts: Counts; keys: Readonly<Record<string, string>> }[] = [];

const pipeline = usePipeline({
  log: new Logger({ serviceName: 'unqcow' }),
  emit: (counts, keys) => void emitted.push({ counts, keys }),
});
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-observed-'));
  const path = join(folder, 'disk');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '600M']);
  execFileSync('qemu-io', ['-c', 'write -P 1 0 128M', '-c', 'write -P 2 280M 64k', path]);
  await pipeline.put(path, 'disk');
});
afterEach(() => {
  lines.length = 0;
  emitted.length = 0;
});
afterAll(() => rm(folder, { recursive: true }));

function conversion(more: object = {}) {
  const { images, raw } = pipeline.stack.buckets;
  return { source: { bucket: images, key: 'disk' }, destination: { bucket: raw, key: 'disk.raw' }, ...more };
}

async function convert(more: object = {}, headers = {}) {
  const { body } = await ask(pipeline, '/conversions', post(conversion(more), headers));
  await pipeline.stack.stepFunctions.wait(body.id);
  return body.id as string;
}

describe('a conversion', () => {
  it('is found whole by its id: in the logs, and in what is counted', async () => {
    const job = await convert();
    const messages = logged().flatMap((line) => (line.job === job ? [line.message] : []));
    expect(messages).toEqual(expect.arrayContaining(['answered', 'planned', 'converted a share', 'completed']));
    const total = { BytesWritten: 0, BytesCopied: 0, BytesZero: 0, Conversions: 0, BytesRead: 0, S3Retries: 0 };
    for (const { counts, keys } of emitted.filter(({ keys }) => keys.job === job)) {
      expect(keys.requestId).toBeDefined();
      for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += counts[name] ?? 0;
    }
    expect(total.BytesWritten + total.BytesCopied + total.BytesZero).toBe(600 * 2 ** 20);
    expect(total).toMatchObject({ Conversions: 1, S3Retries: 0 });
  });

  it('tells why it failed by its id', async () => {
    const job = await convert({ snapshot: 'none-such' });
    expect(logged()).toContainEqual(expect.objectContaining({ job, code: 'SNAPSHOT_NOT_FOUND', level: 'WARN' }));
  });
});

describe('embedded metrics', () => {
  it('are what CloudWatch reads out of a log', () => {
    emfEmitter('convert-part')({ S3Requests: 3, BytesRead: 65536, Duration: 12 }, { job: 'a-job' });
    const [line] = logged();
    expect(line).toMatchObject({
      S3Requests: 3,
      BytesRead: 65536,
      Duration: 12,
      job: 'a-job',
      function: 'convert-part',
    });
    expect(line).toMatchObject({
      _aws: {
        CloudWatchMetrics: [
          {
            Namespace: 'unqcow',
            Dimensions: [['service', 'function']],
            Metrics: [
              { Name: 'S3Requests', Unit: 'Count' },
              { Name: 'BytesRead', Unit: 'Bytes' },
              { Name: 'Duration', Unit: 'Milliseconds' },
            ],
          },
        ],
      },
    });
  });
});

describe('the log', () => {
  /** What would let somebody in, or shows what was signed. */
  const SECRETS = [/local-secret/, /planted/, /AWS4-HMAC-SHA256/, /Signature=/, /SignatureProvided/, /StringToSign/];

  it('has nothing secret of a conversion in it', async () => {
    await convert({ options: { maxConcurrency: 7 } }, { authorization: 'Bearer planted-token', cookie: 'planted' });
    await ask(pipeline, `/images/${pipeline.stack.buckets.images}/disk?X-Amz-Signature=planted`);
    expect(lines.length).toBeGreaterThan(5);
    for (const secret of SECRETS) expect(lines.filter((line) => secret.test(line))).toEqual([]);
  });

  it('has nothing of the queries, headers and bodies that were refused in it', async () => {
    const { images } = pipeline.stack.buckets;
    const asked = (body: unknown, headers = {}) => ask(pipeline, '/conversions', post(body, headers));
    await ask(pipeline, `/images/${images}?key=planted`);
    await ask(pipeline, '/images/elsewhere?key=planted');
    await ask(pipeline, `/maps/${images}?key=disk&allow=s3://planted/planted/`);
    await asked(conversion(), { 'content-type': 'text/planted' });
    await asked('planted');
    await asked({ ...conversion(), planted: 'planted' });
    await asked(conversion({ keys: { '': 'arn:aws:secretsmanager:us-east-1:000000000000:secret:planted' } }));
    await asked({ ...conversion(), destination: { bucket: 'planted', key: 'planted' } });
    const key = { 'idempotency-key': 'planted' };
    await convert({}, key);
    expect(await asked(conversion({ options: { zeroParts: false } }), key)).toMatchObject({ status: 422 });
    expect(logged().filter(({ message }) => message === 'refused').length).toBeGreaterThan(7);
    for (const secret of SECRETS) expect(lines.filter((line) => secret.test(line))).toEqual([]);
  });

  it('has a line for every answer, also for the console’s page', async () => {
    const response = await fetch(`${pipeline.stack.apiEndpoint}/`);
    const requestId = response.headers.get('x-request-id');
    expect(logged()).toContainEqual(
      expect.objectContaining({
        message: 'answered',
        requestId,
        path: '/',
        status: 200,
        milliseconds: expect.any(Number),
      }),
    );
    expect(emitted.filter(({ keys }) => keys.requestId === requestId)).toHaveLength(1);
  });

  it('has nothing secret of what S3 refused in it', async () => {
    const { buckets, store } = pipeline.stack;
    const config = readConfig({
      UNQCOW_SOURCES: `s3://${buckets.images}/`,
      UNQCOW_DESTINATIONS: `s3://${buckets.raw}/`,
      UNQCOW_WORK: `s3://${buckets.work}/`,
    });
    const credentials = { ...store.credentials, secretAccessKey: 'planted-secret' };
    const deps = depsFor(config, new Logger({ serviceName: 'unqcow' }), { ...store, credentials });
    const plan = createPlan(deps)(
      { job: 'refused', request: conversion() },
      lambdaContext('plan', Date.now() + 60_000),
    );
    await expect(plan).rejects.toMatchObject({ code: 'S3_NOT_CONFIGURED' });
    expect(logged()).toContainEqual(expect.objectContaining({ job: 'refused', code: 'S3_NOT_CONFIGURED' }));
    for (const secret of SECRETS) expect(lines.filter((line) => secret.test(line))).toEqual([]);
  });
});
