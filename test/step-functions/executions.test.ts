import {
  DescribeExecutionCommand,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
  type StartExecutionCommandInput,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planOf, REQUEST, STATE_MACHINE_ARN, type Stack, startStack, type TestMachine } from './stack.ts';

let stack: Stack;
let machine: TestMachine;
let sfn: SFNClient;
/** Lets every Plan that waits go on. */
let release: () => void;
let gate: Promise<void>;

beforeAll(async () => {
  stack = await startStack();
  hold();
  machine = await stack.machine({
    async plan(payload) {
      const { request } = payload as { request: { wait?: boolean; fail?: boolean } };
      if (request.wait) await gate;
      if (request.fail) throw Object.assign(new Error('no'), { name: 'NOT_QCOW' });
      return { mode: 'whole', ...(payload as object) };
    },
    convertWhole: async (payload) => payload,
  });
  sfn = clientOf(machine);
});
afterAll(async () => {
  sfn.destroy();
  await stack.close();
});

function clientOf({ endpoint }: TestMachine): SFNClient {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  return new SFNClient({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1 });
}

function hold(): void {
  const next = Promise.withResolvers<void>();
  gate = next.promise;
  release = next.resolve;
}

const start = (name: string | undefined, input: unknown, changes: Partial<StartExecutionCommandInput> = {}) =>
  sfn.send(
    new StartExecutionCommand({
      stateMachineArn: STATE_MACHINE_ARN,
      ...(name ? { name } : {}),
      input: JSON.stringify(input),
      ...changes,
    }),
  );
const describeExecution = (executionArn: string | undefined) =>
  sfn.send(new DescribeExecutionCommand({ executionArn }));
const named = (name: string) => expect.objectContaining({ name });

describe('StartExecution', () => {
  it('starts one that DescribeExecution follows to its end', async () => {
    const { executionArn, startDate } = await start('first', { ...REQUEST, wait: true });
    expect(executionArn).toBe('arn:aws:states:us-east-1:000000000000:execution:unqcow:first');
    const running = await describeExecution(executionArn);
    expect(running).toMatchObject({ name: 'first', status: 'RUNNING', stateMachineArn: STATE_MACHINE_ARN, startDate });
    expect(running.stopDate).toBeUndefined();
    release();
    await machine.wait('first');
    const ended = await describeExecution(executionArn);
    expect(ended).toMatchObject({ status: 'SUCCEEDED', input: JSON.stringify({ ...REQUEST, wait: true }) });
    expect(JSON.parse(ended.output ?? '')).toMatchObject({ job: 'first' });
    expect(ended.stopDate?.getTime()).toBeGreaterThanOrEqual(startDate?.getTime() ?? Number.NaN);
    hold();
  });

  it('tells the same answer for the same name and input while it runs, and starts nothing', async () => {
    const first = await start('twice', { wait: true });
    const second = await start('twice', { wait: true });
    expect([second.executionArn, second.startDate]).toEqual([first.executionArn, first.startDate]);
    await expect(start('twice', { wait: true, other: 1 })).rejects.toThrow(named('ExecutionAlreadyExists'));
    expect(machine.events.filter((event) => event.type === 'started' && event.execution === 'twice')).toHaveLength(1);
    release();
    await machine.wait('twice');
    hold();
  });

  it('never takes a name again, not even with the same input', async () => {
    await start('closed', {});
    await machine.wait('closed');
    await expect(start('closed', {})).rejects.toThrow(named('ExecutionAlreadyExists'));
    await start('closed-badly', { fail: true });
    await machine.wait('closed-badly');
    await expect(start('closed-badly', { fail: true })).rejects.toThrow(named('ExecutionAlreadyExists'));
  });

  it('finds a name where none is given', async () => {
    const { executionArn } = await start(undefined, {});
    expect(executionArn).toMatch(/:[0-9a-f-]{36}$/);
  });

  it.each(['a b', 'a/b', 'a:b', 'a*', 'a{', 'a\u0001', 'a\u00a0', 'x'.repeat(81), '\ud800'])(
    'refuses the name %j',
    async (name) => {
      await expect(start(name, {})).rejects.toThrow(named('InvalidName'));
    },
  );

  it.each(['x'.repeat(80), 'A-Z_0.9', "it's(+)=@!", 'größe'])('takes the name %s', async (name) => {
    expect((await start(name, {})).executionArn).toBe(`arn:aws:states:us-east-1:000000000000:execution:unqcow:${name}`);
  });

  it('refuses what it cannot run', async () => {
    await expect(start('bad-json', {}, { input: '{' })).rejects.toThrow(named('InvalidExecutionInput'));
    await expect(start('elsewhere', {}, { stateMachineArn: `${STATE_MACHINE_ARN}s` })).rejects.toThrow(
      named('StateMachineDoesNotExist'),
    );
    expect(() => machine.describe('bad-json')).toThrow(named('ExecutionDoesNotExist'));
  });
});

describe('DescribeExecution', () => {
  it('tells error and cause of one that failed', async () => {
    const { executionArn } = await start('failed', { fail: true });
    await machine.wait('failed');
    const { status, error, cause, output } = await describeExecution(executionArn);
    expect({ status, error, output }).toEqual({ status: 'FAILED', error: 'NOT_QCOW', output: undefined });
    expect(JSON.parse(cause ?? '')).toMatchObject({ errorType: 'NOT_QCOW', errorMessage: 'no' });
  });

  it('does not know one that was never started, nor an ARN that is none', async () => {
    const unknown = 'arn:aws:states:us-east-1:000000000000:execution:unqcow:never';
    await expect(describeExecution(unknown)).rejects.toThrow(named('ExecutionDoesNotExist'));
    await expect(describeExecution(unknown.replace('unqcow', 'other'))).rejects.toThrow(named('ExecutionDoesNotExist'));
    await expect(describeExecution('never')).rejects.toThrow(named('InvalidArn'));
  });
});

describe('ListExecutions', () => {
  it('tells the newest first, by status, in pages', async () => {
    const own = await stack.machine({ plan: async () => ({ mode: 'whole' }) });
    const client = clientOf(own);
    for (const name of ['a', 'b', 'c']) await own.run({}, name);
    const page = (nextToken?: string) =>
      client.send(
        new ListExecutionsCommand({
          ...{ stateMachineArn: STATE_MACHINE_ARN, statusFilter: 'SUCCEEDED', maxResults: 2 },
          ...(nextToken === undefined ? {} : { nextToken }),
        }),
      );
    const first = await page();
    expect(first.executions?.map(({ name }) => name)).toEqual(['c', 'b']);
    const second = await page(first.nextToken);
    expect(second.executions?.map(({ name }) => name)).toEqual(['a']);
    expect(second.nextToken).toBeUndefined();
    const failed = await client.send(
      new ListExecutionsCommand({ stateMachineArn: STATE_MACHINE_ARN, statusFilter: 'FAILED' }),
    );
    expect(failed.executions).toEqual([]);
    client.destroy();
  });
});

describe('StopExecution', () => {
  it('ends an execution at once: no Retry, no Catch, the upload stays', async () => {
    const working = Promise.withResolvers<void>();
    let calls = 0;
    const own = await stack.machine({
      plan: planOf(stack, 4, { maxConcurrency: 1 }),
      async convertPart() {
        calls += 1;
        working.resolve();
        return new Promise(() => undefined);
      },
    });
    const client = clientOf(own);
    const { executionArn } = own.start('stopped', REQUEST);
    await working.promise;
    const before = (await stack.uploads()).length;
    const { stopDate } = await client.send(
      new StopExecutionCommand({ executionArn, error: 'ABORTED', cause: 'not wanted' }),
    );
    expect(await own.wait('stopped')).toMatchObject({
      status: 'ABORTED',
      error: 'ABORTED',
      cause: 'not wanted',
      stopDate,
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(own.states().at(-1)).toBe('ConvertParts');
    expect(calls).toBe(1);
    expect(await stack.uploads()).toHaveLength(before);
    expect(own.events.filter(({ type }) => type === 'ended')).toHaveLength(1);
    client.destroy();
  });

  it('changes nothing about one that has ended', async () => {
    const ended = await machine.run({}, 'ended');
    const { stopDate } = await sfn.send(new StopExecutionCommand({ executionArn: ended.executionArn, error: 'X' }));
    expect(stopDate).toEqual(ended.stopDate);
    expect(machine.describe('ended')).toEqual(ended);
  });
});

describe('the endpoint', () => {
  const post = (headers: Record<string, string>, body: string) =>
    fetch(machine.endpoint, { method: 'POST', headers, body });

  it('does not know other actions, and says so as AWS does', async () => {
    const response = await post({ 'x-amz-target': 'AWSStepFunctions.toString' }, '{}');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ __type: expect.stringMatching(/#UnknownOperationException$/) });
  });

  it.each(['', '[]', 'null', '{'])('refuses the body %j', async (body) => {
    const response = await post({ 'x-amz-target': 'AWSStepFunctions.ListExecutions' }, body);
    expect(await response.json()).toMatchObject({ __type: expect.stringMatching(/#SerializationException$/) });
  });

  it('listens on loopback only', () => {
    expect(new URL(machine.endpoint).hostname).toBe('127.0.0.1');
  });
});

describe('closing', () => {
  it('waits for no function, and ends what runs', async () => {
    const own = await stack.machine({ plan: () => new Promise(() => undefined) });
    own.start('hanging', REQUEST);
    await new Promise((resolve) => setImmediate(resolve));
    await own.close();
    expect(await own.wait('hanging')).toMatchObject({ status: 'ABORTED' });
    await expect(fetch(own.endpoint)).rejects.toThrow();
  });
});
