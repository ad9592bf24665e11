import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../functions/_shared/config.ts';
import { type Deps, depsFor } from '../../functions/_shared/deps.ts';
import { startHttpApi } from '../../infra/local/http-api.ts';
import { httpRoutes } from '../../infra/local/http-routes.ts';
import { openExecutions } from '../../lib/jobs/executions.ts';
import { putPart } from '../../lib/sink/s3-multipart.ts';
import { MiB } from '../../lib/units.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { type Answer, API, ask, post } from './ask.ts';

/** What the test holds a worker back with, if it does. */
let gate: Promise<void> | undefined;
/** Milliseconds that functions of the HTTP API are told that they have. */
let time = 29_000;
const pipeline = usePipeline({
  workers: 1,
  lambda: (name, create) => {
    const run = create();
    if (name === 'start-conversion')
      return (event, context) => run(event, { ...context, getRemainingTimeInMillis: () => time });
    if (name !== 'convert-part') return run;
    return async (event, context) => {
      await gate;
      return run(event, context);
    };
  },
});
const CONFIG = { UNQCOW_SOURCES: 's3://images/', UNQCOW_DESTINATIONS: 's3://raw/', UNQCOW_WORK: 's3://work/' };
const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as Deps['log'];
let folder: string;
let counter = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-conversions-'));
  const path = join(folder, 'disk');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '300M']);
  execFileSync('qemu-io', ['-c', 'write -P 1 0 1M', '-c', 'write -P 2 280M 64k', path]);
  await pipeline.put(path, 'disk');
  await writeFile(join(folder, 'no-image'), 'hello');
  await pipeline.put(join(folder, 'no-image'), 'no-image');
});
afterAll(() => rm(folder, { recursive: true }));

/** A request that none before it was. */
function request(key = 'disk', more: object = {}) {
  const { images, raw } = pipeline.stack.buckets;
  counter += 1;
  return { source: { bucket: images, key }, destination: { bucket: raw, key: `disk-${counter}.raw` }, ...more };
}

const start = (body: unknown, headers?: Record<string, string>) => ask(pipeline, '/conversions', post(body, headers));
const waitFor = (id: string) => pipeline.stack.stepFunctions.wait(id);

describe('POST /conversions', () => {
  it('starts a conversion, and says where to follow it to its end', async () => {
    const body = request();
    const started = await start(body);
    expect(started).toMatchObject({ status: 202, body: { state: 'running', source: body.source } });
    const { id } = started.body;
    expect(started.headers.get('location')).toBe(`/conversions/${id}`);
    await waitFor(id);
    const ended = await ask(pipeline, `/conversions/${id}`);
    expect(ended).toMatchObject({
      status: 200,
      body: { id, state: 'succeeded', destination: body.destination, result: { size: 300 * 2 ** 20, job: id } },
    });
    expect(await pipeline.difference(body.destination.key, await raw())).toBeUndefined();
  });

  it('is the same conversion for the same request, and another for other options', async () => {
    const body = request();
    const [first, second] = await Promise.all([start(body), start(body)]);
    expect(second.body.id).toBe(first.body.id);
    await waitFor(first.body.id);
    expect((await start(body)).body).toMatchObject({ id: first.body.id, state: 'succeeded' });
    const other = await start({ ...body, options: { zeroParts: false } });
    expect(other.body.id).not.toBe(first.body.id);
    await waitFor(other.body.id);
  });

  it('is tried again for the same request if it failed', async () => {
    const body = request('disk', { snapshot: 'none-such' });
    const first = await start(body);
    await waitFor(first.body.id);
    const second = await start(body);
    expect(second.body.id).not.toBe(first.body.id);
    await waitFor(second.body.id);
  });

  it('is the same conversion under the same Idempotency-Key, whatever came of it', async () => {
    const body = request('disk', { snapshot: 'none-such' });
    const headers = { 'idempotency-key': 'order 4711' };
    const first = await start(body, headers);
    await waitFor(first.body.id);
    expect((await start(body, headers)).body).toMatchObject({
      id: first.body.id,
      state: 'failed',
      problem: { code: 'SNAPSHOT_NOT_FOUND', type: 'urn:unqcow:error:SNAPSHOT_NOT_FOUND' },
    });
    expect(await start(request(), headers)).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  });

  it('is the same request whether it says that we do not pay, or nothing', async () => {
    const body = request();
    const headers = { 'idempotency-key': 'free' };
    const first = await start({ ...body, source: { ...body.source, requestPayer: false } }, headers);
    await waitFor(first.body.id);
    const again = await start({ ...body, source: { ...body.source, requestPayer: false } }, headers);
    expect(again).toMatchObject({ status: 202, body: { id: first.body.id, state: 'succeeded' } });
  });

  it('starts one conversion, however many ask at once under one key', async () => {
    const body = request();
    const headers = { 'idempotency-key': 'at once' };
    const answers = await Promise.all([start(body, headers), start(body, headers), start(body, headers)]);
    expect(new Set(answers.map(({ status, body: { id } }) => `${status} ${id}`)).size).toBe(1);
    await waitFor(answers[0].body.id);
  });

  it('refuses what is not there, and what is no image', async () => {
    expect(await start(request('missing'))).toMatchObject({ status: 404, body: { code: 'SOURCE_NOT_FOUND' } });
    expect(await start(request('no-image'))).toMatchObject({ status: 422, body: { code: 'NOT_QCOW' } });
  });

  it('asks the store nothing about places that are not allowed', async () => {
    const elsewhere = { bucket: 'somewhere-else', key: 'disk' };
    expect(await start({ ...request(), source: elsewhere })).toMatchObject({
      status: 404,
      body: { code: 'SOURCE_NOT_FOUND' },
      requests: 0,
    });
    expect(await start({ ...request(), destination: elsewhere })).toMatchObject({
      status: 404,
      body: { code: 'DESTINATION_NOT_FOUND' },
      requests: 0,
    });
  });

  it.each([
    ['destination', { source: { bucket: 'images', key: 'disk' } }],
    ['options.maxConcurrency', { ...{ options: { maxConcurrency: 0 } } }],
    ['source.versionId', { source: { bucket: 'images', key: 'disk', versionId: '' } }],
    ['source.key', { source: { bucket: 'images', key: 'half \ud83d' } }],
    ['', { more: 1 }],
  ])('refuses a body by the place of its fault: %s', async (at, more) => {
    const { destination, ...rest } = request();
    const body = at === 'destination' ? rest : { ...rest, destination, ...more };
    expect(await start(body)).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST', ...(at ? { at } : {}) } });
  });
});

describe('GET /conversions/{id}', () => {
  it('says how many parts and bytes are done and left, from the plan to the end', async () => {
    const held = Promise.withResolvers<void>();
    gate = held.promise;
    const { body } = await start(request());
    const at = `/conversions/${body.id}`;
    const planned = await until(at, ({ parts }) => parts !== undefined);
    expect(planned).toMatchObject({ state: 'running', parts: { done: 0 }, bytes: { total: 300 * 2 ** 20, done: 0 } });
    const { total } = planned.parts;
    expect(planned.parts).toEqual({ total, done: 0, left: total });
    gate = undefined;
    held.resolve();
    await waitFor(body.id);
    expect((await ask(pipeline, at)).body).toMatchObject({
      state: 'succeeded',
      parts: { total, done: total, left: 0 },
      bytes: { total: 300 * 2 ** 20, done: 300 * 2 ** 20, left: 0 },
    });
  });

  it('counts what the store has of its upload', async () => {
    const held = Promise.withResolvers<void>();
    gate = held.promise;
    const { body } = await start(request('disk', { options: { zeroParts: false } }));
    const at = `/conversions/${body.id}`;
    await until(at, ({ parts }) => parts !== undefined);
    const [upload] = await uploadsOf(body.id);
    const bytes = new Uint8Array(5 * 2 ** 20);
    await putPart(pipeline.stores.writer, { ...body.destination, uploadId: upload as string }, 2, bytes);
    const { body: seen } = await ask(pipeline, at);
    expect(seen).toMatchObject({ parts: { done: 1 }, bytes: { done: bytes.length } });
    // One letter a part, the second of which is made; none is copied from zeros.
    expect(seen.cells).toMatch(/^[dc][DC][dc]*$/);
    expect(seen.cells).toHaveLength(seen.parts.total);
    gate = undefined;
    held.resolve();
    expect(await waitFor(body.id)).toMatchObject({ status: 'SUCCEEDED' });
  });
});

describe('POST /conversions?estimate=true', () => {
  it('says what it would take, and starts nothing', async () => {
    const before = await openExecutionsCount();
    const estimate = await ask(pipeline, '/conversions?estimate=true', post(request()));
    expect(estimate).toMatchObject({
      status: 200,
      body: { size: 300 * 2 ** 20, estimate: { seconds: {}, dollars: {} } },
    });
    // The header; the tables that the plan is made of: no guest data.
    expect(estimate.requests).toBeLessThanOrEqual(3);
    expect(estimate.body.estimate.dollars.storagePerMonth).toBeGreaterThan(0);
    expect(await openExecutionsCount()).toBe(before);
  });

  it('is what the conversion of a small disk then takes', async () => {
    const path = join(folder, 'small');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '100M']);
    execFileSync('qemu-io', ['-c', 'write -P 1 0 10M', '-c', 'write -P 2 50M 30M', path]);
    await pipeline.put(path, 'small');
    const body = request('small');
    const { estimate } = (await ask(pipeline, '/conversions?estimate=true', post(body))).body;
    expect(estimate.bytes).toEqual({ read: 40 * MiB, uploaded: 100 * MiB, copied: 0 });
    const writes = () => {
      const { requests = {} } = pipeline.stack.s3?.metrics() ?? {};
      const { PutObject = 0, CreateMultipartUpload = 0, UploadPart = 0, CompleteMultipartUpload = 0 } = requests;
      return PutObject + CreateMultipartUpload + UploadPart + CompleteMultipartUpload;
    };
    const before = writes();
    const { id } = (await start(body)).body;
    await waitFor(id);
    expect(writes() - before).toBe(estimate.requests.put);
    const { read } = (await ask(pipeline, `/conversions/${id}`)).body.result;
    // Of the tables and of what its requests join there is less than half a MiB.
    expect(read.bytes - estimate.bytes.read).toBeLessThan(MiB / 2);
    expect(read.bytes).toBeGreaterThanOrEqual(estimate.bytes.read);
  });

  // The time that is told here is not told to functions that run elsewhere.
  it.skipIf(API.endpoint)('says so if the time does not suffice, and starts nothing: ESTIMATE_TOO_LARGE', async () => {
    const before = await openExecutionsCount();
    time = 4_000; // what is kept for the answer
    const answer = await ask(pipeline, '/conversions?estimate=true', post(request()));
    time = 29_000;
    expect(answer).toMatchObject({ status: 413, body: { code: 'ESTIMATE_TOO_LARGE' } });
    expect(answer.headers.get('retry-after')).toBeNull();
    expect(await openExecutionsCount()).toBe(before);
  });

  it('refuses what the conversion would refuse', async () => {
    const answer = await ask(pipeline, '/conversions?estimate=true', post(request('no-image')));
    expect(answer).toMatchObject({ status: 422, body: { code: 'NOT_QCOW' } });
  });
});

describe('DELETE /conversions/{id}', () => {
  it('stops what runs, and leaves alone what has ended', async () => {
    const held = Promise.withResolvers<void>();
    gate = held.promise;
    const { body } = await start(request());
    const stopped = await ask(pipeline, `/conversions/${body.id}`, { method: 'DELETE' });
    gate = undefined;
    held.resolve();
    expect(stopped).toMatchObject({ status: 200, body: { state: 'stopped', problem: { code: 'ABORTED' } } });
    expect(await waitFor(body.id)).toMatchObject({ status: 'ABORTED' });
    const again = await ask(pipeline, `/conversions/${body.id}`, { method: 'DELETE' });
    expect(again.body).toEqual(stopped.body);
  });

  it.each(['GET', 'DELETE'])('%s knows no conversion that was not started: CONVERSION_NOT_FOUND', async (method) => {
    expect(await ask(pipeline, '/conversions/none-such', { method })).toMatchObject({
      status: 404,
      body: { code: 'CONVERSION_NOT_FOUND' },
    });
  });
});

describe('Step Functions that takes no more', () => {
  it.each(['ThrottlingException', 'ExecutionLimitExceeded'])('is 429 TOO_MANY_REQUESTS: %s', async (name) => {
    const server = createServer((_, response) => {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
      response.end(JSON.stringify({ __type: `com.amazonaws.sfn#${name}`, message: 'Rate exceeded' }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const { region, credentials } = pipeline.stack.store;
    const executions = openExecutions('arn:aws:states:us-east-1:000000000000:stateMachine:unqcow', {
      ...{ endpoint: `http://127.0.0.1:${port}`, region, credentials, maxAttempts: 1 },
    });
    const deps = depsFor(readConfig(CONFIG), SILENT);
    const api = await startHttpApi(httpRoutes({ ...deps, executions }, (_, create) => create()));
    const answer = await fetch(`${api.endpoint}/conversions/some-id`);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '5']);
    expect(await answer.json()).toMatchObject({ status: 429, code: 'TOO_MANY_REQUESTS' });
    await api.close();
    server.close();
  });
});

describe('Step Functions that is slow to tell', () => {
  /** What it tells of an execution: that there is none; that it runs, as it once did; what is so. */
  let tells: 'nothing' | 'that it runs' | 'what is so' = 'what is so';
  let api: Awaited<ReturnType<typeof startHttpApi>>;
  const server = createServer(async (asked, response) => {
    const body = await text(asked);
    const target = String(asked.headers['x-amz-target']);
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': target };
    const answer = await fetch(pipeline.stack.stepFunctions.endpoint, { method: 'POST', headers, body });
    const told = await answer.text();
    const isAbout = target.endsWith('.DescribeExecution') && tells !== 'what is so';
    const { stopDate: _, error: __, cause: ___, ...before } = JSON.parse(told);
    const none = { __type: 'com.amazonaws.sfn#ExecutionDoesNotExist', message: 'Execution Does Not Exist' };
    const said = tells === 'nothing' ? none : { ...before, status: 'RUNNING' };
    response.writeHead(isAbout && tells === 'nothing' ? 400 : answer.status, headers);
    response.end(isAbout ? JSON.stringify(said) : told);
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { stack } = pipeline;
    const { images, raw, work } = stack.buckets;
    const places = {
      UNQCOW_SOURCES: `s3://${images}/`,
      UNQCOW_DESTINATIONS: `s3://${raw}/`,
      UNQCOW_WORK: `s3://${work}/`,
    };
    const { region, credentials } = stack.store;
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const executions = openExecutions(stack.stateMachineArn, { endpoint, region, credentials });
    const deps = depsFor(readConfig(places), SILENT, stack.store);
    api = await startHttpApi(httpRoutes({ ...deps, executions }, (_, create) => create()));
  });
  afterAll(async () => {
    await api.close();
    server.close();
    server.closeAllConnections();
  });
  const answerOf = async (path: string, init: RequestInit) => {
    const response = await fetch(`${api.endpoint}${path}`, init);
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  };
  /** Until workers may go on. */
  function hold(): () => void {
    const held = Promise.withResolvers<void>();
    gate = held.promise;
    return () => {
      gate = undefined;
      held.resolve();
    };
  }

  it.each([
    ['by what is asked', {}],
    ['by its key', { 'idempotency-key': 'untold' }],
  ])(
    'of a conversion that has just started does not keep it from being answered, once and again: %s',
    async (_, key) => {
      const release = hold();
      tells = 'nothing';
      const body = request();
      const { source, destination } = body;
      const first = await answerOf('/conversions', post(body, key));
      expect(first).toMatchObject({ status: 202, body: { state: 'running', source, destination } });
      expect(await answerOf('/conversions', post(body, key))).toEqual(first);
      tells = 'what is so';
      release();
      expect(await waitFor(first.body.id)).toMatchObject({ status: 'SUCCEEDED' });
      const ended = await answerOf(`/conversions/${first.body.id}`, {});
      expect(ended.body.startedAt).toBe(first.body.startedAt);
    },
  );

  it('whose the key is that another request comes with has that wait: TOO_MANY_REQUESTS', async () => {
    const release = hold();
    tells = 'nothing';
    const key = { 'idempotency-key': 'whose' };
    const { body } = await answerOf('/conversions', post(request(), key));
    expect(await answerOf('/conversions', post(request(), key))).toMatchObject({
      status: 429,
      body: { code: 'TOO_MANY_REQUESTS' },
    });
    tells = 'what is so';
    release();
    await waitFor(body.id);
  });

  it('of a stop does not make it look as if that had not been asked', async () => {
    const release = hold();
    tells = 'that it runs';
    const { body } = await answerOf('/conversions', post(request()));
    const stopped = await answerOf(`/conversions/${body.id}`, { method: 'DELETE' });
    tells = 'what is so';
    release();
    expect(stopped).toMatchObject({ status: 200, body: { state: 'stopped', problem: { code: 'ABORTED' } } });
    expect(await answerOf(`/conversions/${body.id}`, {})).toEqual(stopped);
  });
});

/** Asks until it is so. */
async function until(path: string, isSo: (body: Answer['body']) => boolean): Promise<Answer['body']> {
  for (;;) {
    const { body } = await ask(pipeline, path);
    if (isSo(body) || body.state !== 'running') return body;
    await setTimeout(20);
  }
}

/** Ids of a job's uploads, once the state machine has written them down. */
async function uploadsOf(job: string): Promise<string[]> {
  const Prefix = `open/${job}/uploads/`;
  for (;;) {
    const { Contents = [] } = await pipeline.client.send(
      new ListObjectsV2Command({ Bucket: pipeline.stack.buckets.work, Prefix }),
    );
    if (Contents.length > 0) return Contents.map(({ Key = '' }) => Key.slice(Prefix.length));
    await setTimeout(20);
  }
}

async function openExecutionsCount(): Promise<number> {
  const response = await fetch(pipeline.stack.stepFunctions.endpoint, {
    method: 'POST',
    headers: { 'x-amz-target': 'AWSStepFunctions.ListExecutions' },
    body: JSON.stringify({ stateMachineArn: 'arn:aws:states:us-east-1:000000000000:stateMachine:unqcow' }),
  });
  return ((await response.json()) as { executions: unknown[] }).executions.length;
}

async function raw(): Promise<string> {
  const path = join(folder, 'disk.raw');
  execFileSync('qemu-img', ['convert', '-O', 'raw', join(folder, 'disk'), path]);
  return path;
}
