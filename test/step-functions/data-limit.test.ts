import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DATA_LIMIT } from '../../infra/local/step-functions/state-error.ts';
import { planOf, REQUEST, type Stack, startStack } from './stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

const TOO_MUCH = { status: 'FAILED', error: 'States.DataLimitExceeded' };

/** An object whose JSON is exactly `bytes` long, in letters of two bytes. */
function ofBytes(bytes: number): { text: string } {
  const room = bytes - JSON.stringify({ text: '' }).length;
  return { text: 'ü'.repeat(Math.floor(room / 2)) + 'x'.repeat(room % 2) };
}

describe('256 KiB', () => {
  it('may pass from a function, and not a byte more', async () => {
    const plan = async () => ({ mode: 'whole' });
    // What Plan said stays beside it.
    const room = DATA_LIMIT - '{"mode":"whole","result":}'.length;
    const exact = await stack.machine({ plan, convertWhole: async () => ofBytes(room) });
    expect(await exact.run()).toMatchObject({ status: 'SUCCEEDED' });
    const over = await stack.machine({ plan, convertWhole: async () => ofBytes(room + 1) });
    expect(await over.run()).toMatchObject(TOO_MUCH);
  });

  it('are what an execution may start with', async () => {
    const machine = await stack.machine({ plan: async () => ({ mode: 'whole' }) });
    expect(() => machine.start('too-long', ofBytes(DATA_LIMIT + 1))).toThrow(
      expect.objectContaining({ name: 'InvalidExecutionInput' }),
    );
    // Parameters add to the input: what may start does not always fit the first task.
    expect(await machine.run(ofBytes(DATA_LIMIT))).toMatchObject(TOO_MUCH);
  });

  it('are what a plan may say, together with what is added to it', async () => {
    const { text } = ofBytes(DATA_LIMIT - 500);
    const machine = await stack.machine({ plan: planOf(stack, 1, { text }) });
    expect(await machine.run(REQUEST, 'a-name-that-makes-it-longer-than-a-state-may-be')).toMatchObject(TOO_MUCH);
  });

  it('are seen by no Catch: Complete’s oversized answer leaves the upload to the sweeper', async () => {
    const machine = await stack.machine({ complete: async () => ofBytes(DATA_LIMIT + 1) });
    expect(await machine.run()).toMatchObject(TOO_MUCH);
    expect(machine.states().at(-1)).toBe('Complete');
  });

  it.each([
    ['a share', DATA_LIMIT, 1],
    ['a receipt', 10, DATA_LIMIT + 1],
  ])('hold for %s: the child fails, and with it the map', async (_what, share, receipt) => {
    const items = { bucket: 'work', key: 'large.jsonl' };
    await stack.put(items.bucket, items.key, `${JSON.stringify(ofBytes(Math.max(share, 11)))}\n`);
    const machine = await stack.machine({
      plan: planOf(stack, 1, { items }),
      convertPart: async () => ofBytes(Math.max(receipt, 11)),
    });
    const before = await stack.uploads();
    expect(await machine.run()).toMatchObject({ status: 'FAILED', error: 'States.ExceedToleratedFailureThreshold' });
    expect(await stack.uploads()).toEqual(before);
  });

  it('are far more than what comes back from a map of many shares', async () => {
    const machine = await stack.machine({
      plan: planOf(stack, 300, { maxConcurrency: 20 }),
      convertPart: async () => ofBytes(2000),
      complete: async (payload) => ({ bytes: JSON.stringify(payload).length }),
    });
    const execution = await machine.run();
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect((execution.output as { bytes: number }).bytes).toBeLessThan(1000);
  });
});
