import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hashOf, startOnce } from '../../functions/_shared/start-once.ts';
import { type Executions, openExecutions } from '../../lib/jobs/executions.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import { codeError, STATE_MACHINE_ARN, type Stack, startStack, type TestMachine } from '../step-functions/stack.ts';

let stack: Stack;
let machine: TestMachine;
let executions: Pick<Executions, 'start' | 'describe'>;
/** Disks, no two the same. */
let made = 0;
/** Requests to Step Functions. */
let asked = 0;
/** What becomes of conversions, and what they wait for. */
let fails = false;
let gate: Promise<void> | undefined;

beforeAll(async () => {
  stack = await startStack();
  machine = await stack.machine({
    plan: async (payload) => ({ mode: 'whole', ...(payload as object) }),
    async convertWhole(payload) {
      await gate;
      if (fails) throw codeError('NOT_QCOW');
      const { request } = payload as { request: ReturnType<typeof inputOf> };
      const { bucket, key } = request.destination;
      await stack.put(bucket, key, `disk ${++made}`);
      const object = await headObject(stack.s3, request.destination);
      return { destination: { bucket, key, etag: object?.etag } };
    },
  });
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  const real = openExecutions(STATE_MACHINE_ARN, { endpoint: machine.endpoint, region: 'us-east-1', credentials });
  const counted = <R>(request: Promise<R>) => {
    asked += 1;
    return request;
  };
  executions = {
    start: (name, input) => counted(real.start(name, input)),
    describe: (name) => counted(real.describe(name)),
  };
});
beforeEach(() => {
  fails = false;
  gate = undefined;
});
afterAll(() => stack.close());

const inputOf = (key: string) => ({
  source: { bucket: 'images', key },
  destination: { bucket: 'disks', key: `${key}.raw` },
});

function start(key: string) {
  const input = inputOf(key);
  return startOnce({ executions, stores: { reader: stack.s3, writer: stack.s3 } }, hashOf(input), input);
}

/** Asks for a conversion that has to be started for that, and waits for its end. */
async function started(key: string): Promise<string> {
  const { outcome, execution } = await start(key);
  expect(outcome).toBe('started');
  await machine.wait(execution);
  return execution;
}

const remove = (key: string) => stack.s3.send(new DeleteObjectCommand({ Bucket: 'disks', Key: `${key}.raw` }));

describe('the same conversion, asked for again', () => {
  it('is told of without asking as it starts, by one request', async () => {
    const held = Promise.withResolvers<void>();
    gate = held.promise;
    asked = 0;
    const first = await start('told');
    expect([first.outcome, first.as.status, first.as.input, asked]).toEqual(['started', 'RUNNING', inputOf('told'), 1]);
    const again = await start('told');
    expect([again.execution, again.as.startedAt]).toEqual([first.execution, first.as.startedAt]);
    held.resolve();
    await machine.wait(first.execution);
  });

  it('is the one that has succeeded, as long as its disk is there', async () => {
    const execution = await started('stands');
    expect(await start('stands')).toMatchObject({ outcome: 'done', execution, as: { status: 'SUCCEEDED' } });
  });

  it('starts anew where another disk lies in its place', async () => {
    const first = await started('replaced');
    await stack.put('disks', 'replaced.raw', 'another disk');
    const second = await started('replaced');
    expect(second).not.toBe(first);
    expect(await start('replaced')).toMatchObject({ outcome: 'done', execution: second });
  });

  it('starts anew however often it succeeded and its disk was taken away, by few requests', async () => {
    const names = new Set<string>();
    for (let round = 1; round <= 25; round += 1) {
      asked = 0;
      names.add(await started('taken'));
      await remove('taken');
    }
    expect(names.size).toBe(25);
    // Of the first series two, of the last two and its successor’s; between them a search in powers of two.
    expect(asked).toBeLessThanOrEqual(16);
  });

  it('is not started any more once it failed 20 times in a row, which is no failure of the store’s', async () => {
    fails = true;
    for (let attempt = 1; attempt <= 20; attempt += 1) await started('fails');
    await expect(start('fails')).rejects.toMatchObject({
      code: 'FAILED_TOO_OFTEN',
      retryable: false,
      message: expect.stringContaining('20 times in a row'),
    });
  });

  it('has as many attempts again after one that succeeded', async () => {
    fails = true;
    for (let attempt = 1; attempt <= 19; attempt += 1) await started('mended');
    fails = false;
    await started('mended');
    await remove('mended');
    fails = true;
    for (let attempt = 1; attempt <= 20; attempt += 1) await started('mended');
    await expect(start('mended')).rejects.toMatchObject({ code: 'FAILED_TOO_OFTEN' });
  });

  it('waits for Step Functions to tell of a name that is taken, and starts no second one meanwhile: TOO_MANY_REQUESTS', async () => {
    await started('untold');
    const silent = { ...executions, describe: async () => undefined };
    const input = inputOf('untold');
    const stores = { reader: stack.s3, writer: stack.s3 };
    await expect(startOnce({ executions: silent, stores }, hashOf(input), input)).rejects.toMatchObject({
      code: 'TOO_MANY_REQUESTS',
    });
  });
});
