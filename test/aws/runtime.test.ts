import { mkdtempSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalStack, type Services, startStack } from '../../infra/local/stack.ts';
import { ErrorCodes } from '../../lib/errors.ts';
import { MiB } from '../../lib/units.ts';
import type { Lambda } from './support/lambda.ts';
import { remove } from './support/sandbox.ts';
import { BUCKETS, FUNCTIONS, functionsOf, lambdaOf } from './support/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-runtime-'));
const lambdas: Lambda[] = [];
let stack: LocalStack;
let tarpit: Server;

beforeAll(async () => {
  stack = await startStack({ store: { dir: folder }, buckets: BUCKETS });
  // Takes connections, and says nothing.
  tarpit = createServer(() => undefined).listen(0, '127.0.0.1');
});

afterAll(async () => {
  for (const lambda of lambdas) lambda.close();
  tarpit.close();
  await stack.close();
  remove(folder);
});

function start(name: string, services: Partial<Services> = {}, functions = FUNCTIONS): Lambda {
  const all = { store: stack.store, stepFunctions: stack.stepFunctions.endpoint, ...services };
  const lambda = lambdaOf(name, all, functions);
  lambdas.push(lambda);
  return lambda;
}

const silent = (): Partial<Services> => ({
  store: { ...stack.store, endpoint: `http://127.0.0.1:${(tarpit.address() as AddressInfo).port}` },
});

const image = { bucket: BUCKETS.images, key: 'missing.qcow2' };
const conversion = {
  job: 'a-job',
  request: { source: image, destination: { bucket: BUCKETS.raw, key: 'missing.raw' } },
};

const http = (path: string) => ({
  headers: {},
  rawPath: path,
  requestContext: { requestId: 'a-request', stage: '$default', http: { method: 'GET', path } },
});
/** Nothing that any function takes. */
const NONSENSE = { ...http('/nowhere'), Records: 'none' };

// Some refuse nothing, and one streams its answer, which this Runtime API does not take.
const OTHERS = ['console', 'get-openapi', 'list-places', 'view-disk'];
const REFUSING = [...FUNCTIONS.keys()].filter((name) => !OTHERS.includes(name));

describe.each(REFUSING)('the artefact of %s in Lambda’s own runtime', (name) => {
  it('starts, and names what it does not understand, with nothing but itself on the path', async () => {
    const lambda = start(name);
    const outcome = await lambda.invoke(NONSENSE);
    const answer = outcome.ok ? JSON.parse((outcome.payload as { body: string }).body) : { code: outcome.errorType };
    expect(Object.keys(ErrorCodes), lambda.environments[0]?.stdout).toContain(answer.code);
    expect(['INTERNAL', 'TIMED_OUT']).not.toContain(answer.code);
  });

  it('goes on in the same process when it is called again', async () => {
    const lambda = start(name);
    await lambda.invoke(NONSENSE);
    await lambda.invoke(NONSENSE);
    expect(lambda.environments).toHaveLength(1);
    expect(lambda.environments[0]?.alive).toBe(true);
    expect(lambda.peak).toBeGreaterThan(MiB);
    expect(lambda.peak).toBeLessThan(lambda.configuration.memory * MiB);
  });
});

describe('a function in Lambda’s own runtime', () => {
  it('fails by the name of our code, which the state machine matches on', async () => {
    expect(await start('plan').invoke(conversion)).toMatchObject({
      ok: false,
      errorType: 'SOURCE_NOT_FOUND',
      errorMessage: expect.stringContaining('missing.qcow2'),
    });
  });

  it('serves the console, as it was built', async () => {
    const headers = expect.objectContaining({ 'content-type': 'text/html; charset=utf-8' });
    const body = expect.stringContaining('<title>unqcow</title>');
    const outcome = await start('console').invoke(http('/'));
    expect(outcome).toMatchObject({ ok: true, payload: { statusCode: 200, headers, body } });
  });

  it('answers over HTTP with a problem of that name', async () => {
    const outcome = await start('get-image').invoke({ ...http('/images'), pathParameters: image });
    expect(outcome).toMatchObject({ ok: true, payload: { statusCode: 404 } });
  });

  it('takes the secrets that its deployment allows, and no others', async () => {
    const lambda = start('start-conversion', {}, functionsOf('changed'));
    const codeFor = async (secret: string) => {
      const body = JSON.stringify({
        source: { bucket: 'my-images', key: 'vms/missing.qcow2' },
        destination: { bucket: 'my-disks', key: 'raw/missing.raw' },
        keys: { '': `arn:aws:secretsmanager:us-east-1:123456789012:secret:${secret}` },
      });
      const event = { ...http('/conversions'), headers: { 'content-type': 'application/json' }, body };
      const outcome = await lambda.invoke(event);
      return outcome.ok && JSON.parse((outcome.payload as { body: string }).body).code;
    };
    // The first is refused by what comes after that: there is no such image.
    expect(await codeFor('disks/one-AbCdEf')).toBe('SOURCE_NOT_FOUND');
    expect(await codeFor('databases/one-AbCdEf')).toBe('NOT_ALLOWED');
  });

  it('ends its work by itself shortly before its time is over, by a name that is worth a retry', async () => {
    const lambda = start('plan', silent());
    expect(await lambda.invoke(conversion, 7_000)).toMatchObject({ ok: false, errorType: 'TIMED_OUT' });
    expect(lambda.environments[0]?.alive).toBe(true);
  });

  it('is killed if it does not, by the name that Lambda has for it; the next call finds a new process', async () => {
    const lambda = start('plan', silent());
    await lambda.invoke({});
    process.kill(lambda.environments[0]?.pid ?? 0, 'SIGSTOP');
    expect(await lambda.invoke(conversion, 1_000)).toMatchObject({
      ok: false,
      errorType: 'Sandbox.Timedout',
      errorMessage: expect.stringContaining('Task timed out after 1.00 seconds'),
    });
    expect(await lambda.invoke({})).toMatchObject({ ok: false, errorType: 'BAD_REQUEST' });
    expect(lambda.environments).toHaveLength(2);
  });

  it('that is gone is told by the name that Lambda has for it', async () => {
    const lambda = start('plan', silent());
    await lambda.invoke({});
    const outcome = lambda.invoke(conversion);
    process.kill(lambda.environments[0]?.pid ?? 0, 'SIGKILL');
    expect(await outcome).toMatchObject({ ok: false, errorType: 'Runtime.ExitError' });
  });
});
