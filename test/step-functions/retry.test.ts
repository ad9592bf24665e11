import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { instrument } from '../../infra/local/step-functions/instrument.ts';
import type { MachineDefinition } from '../../infra/local/step-functions/task.ts';
import { stateMachineDefinition } from '../../infra/state-machine.ts';
import { ErrorCodes } from '../../lib/errors.ts';
import { type Functions, failing, planOf, type Stack, SUBSTITUTIONS, startStack } from './stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

/** Attempts of a function that always fails with this, by state. */
const ATTEMPTS: Readonly<Record<string, readonly [plan: number, part: number]>> = {
  'Lambda.TooManyRequestsException': [501, 501],
  'Lambda.ServiceException': [5, 5],
  'Lambda.AWSLambdaException': [5, 5],
  'Lambda.SdkClientException': [5, 5],
  SOURCE_UNAVAILABLE: [5, 5],
  DESTINATION_UNAVAILABLE: [5, 5],
  'Sandbox.Timedout': [2, 3],
  'Runtime.ExitError': [2, 3],
  TIMED_OUT: [2, 3],
};

describe('an error that may pass', () => {
  it.each(Object.entries(ATTEMPTS))('%s is tried again, so many times', async (name, [plan, part]) => {
    const planner = failing(name);
    expect(await (await stack.machine({ plan: planner.fn })).run()).toMatchObject({ status: 'FAILED', error: name });
    expect(planner.calls).toBe(plan);
    const worker = failing(name);
    await (await stack.machine({ plan: planOf(stack, 1), convertPart: worker.fn })).run();
    expect(worker.calls).toBe(part);
  });

  it.each(Object.keys(ATTEMPTS))('%s that passes is not seen from outside', async (name) => {
    const [part, complete] = [failing(name, 1), failing(name, 1, { size: 1 })];
    const machine = await stack.machine({ plan: planOf(stack, 2), convertPart: part.fn, complete: complete.fn });
    expect(await machine.run()).toMatchObject({ status: 'SUCCEEDED', output: { size: 1 } });
    expect([part.calls, complete.calls]).toEqual([3, 2]);
  });

  it('has attempts of its own beside those of another kind', async () => {
    const names = ['TIMED_OUT', 'SOURCE_UNAVAILABLE', 'Lambda.TooManyRequestsException', 'SOURCE_UNAVAILABLE'];
    const machine = await stack.machine({
      plan: async () => {
        const name = names.shift();
        if (name !== undefined) throw Object.assign(new Error(), { name });
        return { mode: 'whole' };
      },
    });
    expect(await machine.run()).toMatchObject({ status: 'SUCCEEDED' });
  });
});

describe('an error that will not pass', () => {
  const terminal = Object.entries(ErrorCodes).flatMap(([code, { retryable }]) => (retryable ? [] : [code]));

  it.each(terminal)('%s is not tried again by any function', async (code) => {
    for (const name of ['plan', 'convertWhole', 'convertPart', 'complete'] satisfies (keyof Functions)[]) {
      const counted = failing(code);
      const plan = name === 'convertWhole' ? async () => ({ mode: 'whole' }) : planOf(stack, 1);
      const machine = await stack.machine({ plan, [name]: counted.fn });
      expect(await machine.run()).toMatchObject({ status: 'FAILED' });
      expect(counted.calls, name).toBe(1);
      await machine.close();
    }
  });

  it('is also whatever has no name that we know', async () => {
    const counted = failing('TypeError');
    expect(await (await stack.machine({ plan: counted.fn })).run()).toMatchObject({
      status: 'FAILED',
      error: 'TypeError',
    });
    expect(counted.calls).toBe(1);
  });

  it('may be no Error at all', async () => {
    const plan = () => Promise.reject('a text');
    const execution = await (await stack.machine({ plan })).run();
    expect(execution).toMatchObject({ status: 'FAILED', error: 'string' });
    expect(JSON.parse(execution.cause ?? '')).toEqual({ errorType: 'string', errorMessage: 'a text', trace: [] });
  });
});

describe('a function that overstays', () => {
  it('is given up after its state’s TimeoutSeconds, and tried again', async () => {
    const definition = stateMachineDefinition(SUBSTITUTIONS) as { States: { Plan: { TimeoutSeconds: number } } };
    definition.States.Plan.TimeoutSeconds = 0.02;
    let calls = 0;
    const plan = async (_payload: unknown, context: { getRemainingTimeInMillis(): number }) => {
      calls += 1;
      expect(context.getRemainingTimeInMillis()).toBeLessThanOrEqual(20);
      return new Promise(() => undefined);
    };
    const machine = await stack.machine({ plan }, { definition });
    expect(await machine.run()).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
    expect(calls).toBe(2);
  });

  it('does not hold up the machine’s own TimeoutSeconds, which end it without any Catch', async () => {
    const definition = { ...(stateMachineDefinition(SUBSTITUTIONS) as object), TimeoutSeconds: 1 };
    const machine = await stack.machine({ convertPart: () => new Promise(() => undefined) }, { definition });
    expect(await machine.run()).toMatchObject({ status: 'TIMED_OUT', error: 'States.Timeout' });
    expect(machine.states().at(-1)).toBe('ConvertParts');
  });
});

it('waits between attempts as the definition says, times a factor', () => {
  const definition = stateMachineDefinition(SUBSTITUTIONS) as MachineDefinition;
  const waits = (scale: number) =>
    instrument(definition, scale).States.Plan?.Retry?.map(({ IntervalSeconds, MaxDelaySeconds }) => [
      IntervalSeconds,
      MaxDelaySeconds,
    ]);
  expect(waits(1)).toEqual([
    [5, 300],
    [2, 60],
    [5, 60],
  ]);
  expect(waits(0)).toEqual([
    [0, 0],
    [0, 0],
    [0, 0],
  ]);
});
