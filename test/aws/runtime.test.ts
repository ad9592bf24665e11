import { mkdtempSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Services } from '../../infra/local/stack.ts';
import { ErrorCodes } from '../../lib/errors.ts';
import { MiB } from '../../lib/units.ts';
import { STACK } from '../pipeline/use-pipeline.ts';
import type { Lambda } from './support/lambda.ts';
import { useEachFunction, useRecorded } from './support/recorded.ts';
import type { Outcome, Streamed } from './support/runtime-api.ts';
import { remove } from './support/sandbox.ts';
import { BUCKETS, FUNCTIONS, functionsOf, lambdaOf, STATE_MACHINE } from './support/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-runtime-'));
STACK.options = { buckets: BUCKETS, config: { stateMachineArn: STATE_MACHINE } };
const { pipeline, of: recorded } = useRecorded(join(folder, 'secrets'));
const lambdas: Lambda[] = [];
let tarpit: Server;

beforeAll(async () => {
  // Takes connections, and says nothing.
  tarpit = createServer(() => undefined).listen(0, '127.0.0.1');
  await useEachFunction(pipeline, folder);
});

afterAll(() => {
  for (const lambda of lambdas) lambda.close();
  tarpit.close();
  remove(folder);
});

const services = (): Services => {
  const { store, stepFunctions, secrets } = pipeline.stack;
  return { store, stepFunctions: stepFunctions.endpoint, secretsManager: String(secrets?.endpoint) };
};
/** An S3 and a Step Functions that say nothing. Secrets are told: what asks for them asks for them first. */
const silent = (): Services => {
  const endpoint = `http://127.0.0.1:${(tarpit.address() as AddressInfo).port}`;
  return { ...services(), store: { ...services().store, endpoint }, stepFunctions: endpoint };
};

function start(name: string, among: Services = services(), functions = FUNCTIONS): Lambda {
  const lambda = lambdaOf(name, among, functions);
  lambdas.push(lambda);
  return lambda;
}

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
const NONSENSE = { ...http('/nowhere'), queryStringParameters: { nonsense: 'yes' }, Records: 'none' };

/** The code that a function failed by, over HTTP or not. */
function codeOf(outcome: Outcome): string {
  if (!outcome.ok) return outcome.errorType;
  return JSON.parse(String((outcome.payload as { body: unknown }).body)).code;
}

// The console's page is the same whatever is asked. What API Gateway never sends is a defect in it, which the runtime names.
const PAGE = 'console';
const nonsenseTo = (name: string) => (name === PAGE ? {} : NONSENSE);

/** What asks neither S3 nor Step Functions waits for nobody: for these, being killed stands for running out of time. */
const ASKING_NOBODY = [PAGE, 'get-openapi', 'list-places', 'no-route'];
/** Milliseconds: more than each keeps for cleaning up. */
const limitOf = (name: string) => (name === 'convert-whole' ? 12_000 : 6_500);

describe.each([...FUNCTIONS.keys()])('the artefact of %s in Lambda’s own runtime', (name) => {
  let lambda: Lambda;
  beforeAll(() => {
    lambda = start(name);
  });
  const stdout = () => lambda.environments.map((each) => each.stdout).join('');

  it('starts, and names what it does not understand, with nothing but itself on the path', async () => {
    const code = codeOf(await lambda.invoke(nonsenseTo(name)));
    if (name === PAGE) return expect(code, stdout()).toBe('TypeError');
    expect(Object.keys(ErrorCodes), stdout()).toContain(code);
    expect(['INTERNAL', 'TIMED_OUT']).not.toContain(code);
  });

  it('goes on in the same process when it is called again', async () => {
    const { payload, status } = recorded.get(name) ?? {};
    // Conversions run over the artefacts in the pipeline's test.
    const outcome = await lambda.invoke(status === undefined ? NONSENSE : payload);
    if (status !== undefined) expect(outcome, stdout()).toMatchObject({ ok: true, payload: { statusCode: status } });
    expect(lambda.environments).toHaveLength(1);
    expect(lambda.environments[0]?.alive).toBe(true);
  });

  it('has had less memory than it is configured for', () => {
    expect(lambda.peak).toBeGreaterThan(MiB);
    expect(lambda.peak).toBeLessThan(lambda.configuration.memory * MiB);
  });

  it.skipIf(ASKING_NOBODY.includes(name))('ends by itself, and by name, before its time is over', async () => {
    const waiting = start(name, silent());
    await waiting.invoke(NONSENSE);
    const outcome = await waiting.invoke(recorded.get(name)?.payload, limitOf(name));
    expect(codeOf(outcome), waiting.environments[0]?.stdout).toBe('TIMED_OUT');
    expect(waiting.environments.map(({ alive }) => alive)).toEqual([true]);
  });

  it('is killed when its time is over, by the name that Lambda has for it; the next call finds a new process', async () => {
    process.kill(lambda.environments[0]?.pid ?? 0, 'SIGSTOP');
    expect(await lambda.invoke(NONSENSE, 500)).toMatchObject({
      ok: false,
      errorType: 'Sandbox.Timedout',
      errorMessage: expect.stringContaining('Task timed out after 0.50 seconds'),
    });
    expect(codeOf(await lambda.invoke(nonsenseTo(name)))).not.toBe('Sandbox.Timedout');
    expect(lambda.environments).toHaveLength(2);
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
    const { secretsManager: _, ...others } = services();
    const lambda = start('start-conversion', others, functionsOf('changed'));
    const codeFor = async (secret: string) => {
      const body = JSON.stringify({
        source: { bucket: 'my-images', key: 'vms/missing.qcow2' },
        destination: { bucket: 'my-disks', key: 'raw/missing.raw' },
        keys: { '': `arn:aws:secretsmanager:us-east-1:123456789012:secret:${secret}` },
      });
      const headers = { 'content-type': 'application/json' };
      return codeOf(await lambda.invoke({ ...http('/conversions'), headers, body }));
    };
    // The first is refused by what comes after that: there is no such image.
    expect(await codeFor('disks/one-AbCdEf')).toBe('SOURCE_NOT_FOUND');
    expect(await codeFor('databases/one-AbCdEf')).toBe('NOT_ALLOWED');
  });

  it('that is gone is told by the name that Lambda has for it', async () => {
    const lambda = start('plan', silent());
    await lambda.invoke({});
    const outcome = lambda.invoke(conversion);
    process.kill(lambda.environments[0]?.pid ?? 0, 'SIGKILL');
    expect(await outcome).toMatchObject({ ok: false, errorType: 'Runtime.ExitError' });
  });
});

describe('view-disk, which streams', () => {
  const asked = (range: string) => {
    const { payload } = recorded.get('view-disk') ?? {};
    return { ...(payload as ReturnType<typeof http>), headers: { range } };
  };
  async function streamed(lambda: Lambda, range: string): Promise<Streamed> {
    const outcome = await lambda.invoke(asked(range));
    expect(outcome, lambda.environments[0]?.stdout).toMatchObject({ ok: true });
    return (outcome as { payload: Streamed }).payload;
  }

  it('answers a range with the disk’s bytes, the longest within its memory', async () => {
    const lambda = start('view-disk');
    const { statusCode, headers, body } = await streamed(lambda, 'bytes=65000-66023');
    expect([statusCode, headers['Content-Range']]).toEqual([206, `bytes 65000-66023/${160 * MiB}`]);
    expect(body.equals(Buffer.alloc(1024, 7))).toBe(true);
    const most = await streamed(lambda, 'bytes=1-');
    expect(most.body.equals(Buffer.alloc(128 * MiB, 7))).toBe(true);
    process.stdout.write(`view-disk: ${Math.round(lambda.peak / MiB)} of ${lambda.configuration.memory} MiB\n`);
    expect(lambda.peak).toBeLessThan(lambda.configuration.memory * MiB);
  });

  it('refuses with a problem, without a body where there is none to send', async () => {
    const lambda = start('view-disk');
    const refused = await lambda.invoke({ ...asked(''), queryStringParameters: { token: 'made.up' } });
    expect(codeOf(refused)).toBe('LINK_INVALID');
    expect(refused).toMatchObject({
      payload: { statusCode: 403, headers: { 'Content-Type': 'application/problem+json' } },
    });
    expect(await streamed(lambda, `bytes=${160 * MiB}-`)).toMatchObject({ statusCode: 416, body: Buffer.alloc(0) });
  });

  it('breaks off where its image is replaced while it is read, says why behind what was sent, and goes on', async () => {
    const lambda = start('view-disk');
    await streamed(lambda, 'bytes=0-511');
    await pipeline.put(join(folder, 'small'), 'long');
    const cut = await lambda.invoke(asked(`bytes=${100 * MiB}-`));
    expect(cut).toMatchObject({ ok: false, errorType: 'SOURCE_CHANGED' });
    expect(codeOf(await lambda.invoke(NONSENSE))).toBe('NO_SUCH_ROUTE');
    expect(lambda.environments).toHaveLength(1);
  });
});
