import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planOf, REQUEST, type Stack, startStack } from './stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

const whole = async (payload: unknown) => ({ mode: 'whole', ...(payload as object) });

const SUCCESS = ['Keys?', 'Explained?', 'Done'];

describe('a small disk', () => {
  it('is planned and converted by one function, and that is the answer', async () => {
    const payloads: unknown[] = [];
    const machine = await stack.machine({
      plan: whole,
      convertWhole: async (payload) => {
        payloads.push(payload);
        return { size: 512 };
      },
    });
    const execution = await machine.run(REQUEST, 'small');
    expect(execution).toMatchObject({ status: 'SUCCEEDED', output: { size: 512 } });
    expect(payloads).toEqual([{ mode: 'whole', job: 'small', request: REQUEST }]);
    expect(machine.states()).toEqual(['Plan', 'Small?', 'ConvertWhole', ...SUCCESS]);
  });

  it('leaves its failure to the function: error and cause are its own, and nothing is aborted', async () => {
    const machine = await stack.machine({
      plan: whole,
      convertWhole: async () => {
        throw Object.assign(new Error('replaced'), { name: 'SOURCE_CHANGED' });
      },
    });
    const execution = await machine.run();
    expect(execution).toMatchObject({ status: 'FAILED', error: 'SOURCE_CHANGED' });
    expect(JSON.parse(execution.cause ?? '')).toMatchObject({ errorType: 'SOURCE_CHANGED', errorMessage: 'replaced' });
    expect(machine.states()).toEqual(['Plan', 'Small?', 'ConvertWhole', 'Keys?', 'Explained?', 'FailedAsCaught']);
  });

  it('is refused by a machine that does not know the plan’s mode', async () => {
    const machine = await stack.machine({ plan: async () => ({ mode: 'sideways' }) });
    expect(await machine.run()).toMatchObject({ status: 'FAILED', error: 'States.NoChoiceMatched' });
  });
});

describe('a disk in parts', () => {
  it('gives each share to a worker, and Complete what it needs to find their receipts', async () => {
    const shares: unknown[] = [];
    const completed: unknown[] = [];
    const machine = await stack.machine({
      convertPart: async (payload) => {
        shares.push(payload);
        return { part: (payload as { share: { share: number } }).share.share };
      },
      complete: async (payload) => {
        completed.push(payload);
        return { size: 3 };
      },
    });
    const execution = await machine.run(REQUEST, 'parts');
    expect(execution).toMatchObject({ status: 'SUCCEEDED', output: { size: 3 } });
    const all = ['Plan', 'Small?', 'ConvertParts', 'Complete', ...SUCCESS];
    expect(machine.states()).toEqual(all);
    const [uploadId] = await stack.uploads();
    const failure = { bucket: 'work', key: 'parts/failure.json' };
    const share = (number: number) => ({ share: { share: number, text: 'Grüße\u2028' }, uploadId, failure });
    expect(shares).toHaveLength(3);
    expect(shares).toEqual(expect.arrayContaining([share(0), share(1), share(2)]));
    expect(completed).toEqual([
      {
        mode: 'parts',
        job: 'parts',
        destination: REQUEST.destination,
        items: { bucket: 'work', key: 'parts/items.jsonl' },
        results: {
          bucket: 'work',
          prefix: 'parts/results',
          manifest: { bucket: 'work', key: expect.stringMatching(/^parts\/results\/[0-9a-f-]{36}\/manifest\.json$/) },
        },
        failure,
        plan: { bucket: 'work', key: 'parts/plan.json' },
        maxConcurrency: 2,
        upload: { uploadId },
      },
    ]);
  });

  it('has its receipts in S3, one a line, under a manifest', async () => {
    let manifest = { bucket: '', key: '' };
    const machine = await stack.machine({
      convertPart: async (payload) => ({ part: (payload as { share: { share: number } }).share.share }),
      complete: async (payload) => {
        manifest = (payload as { results: { manifest: typeof manifest } }).results.manifest;
        return {};
      },
    });
    await machine.run();
    const text = await stack.get(manifest.bucket, manifest.key);
    const folder = manifest.key.replace(/\/manifest\.json$/, '');
    expect(JSON.parse(text)).toEqual({
      DestinationBucket: 'work',
      MapRunArn: expect.stringMatching(
        /^arn:aws:states:us-east-1:000000000000:mapRun:unqcow\/ConvertParts:[0-9a-f-]{36}$/,
      ),
      ResultFiles: { FAILED: [], PENDING: [], SUCCEEDED: [{ Key: `${folder}/SUCCEEDED_0.jsonl`, Size: 33 }] },
    });
    expect(await stack.get('work', `${folder}/SUCCEEDED_0.jsonl`)).toBe('{"part":0}\n{"part":1}\n{"part":2}\n');
  });

  it.each([
    ['the plan allows', 4, 1000],
    ['the machine that it runs on allows', 50, 3],
  ])('runs as many workers at once as %s, and no more', async (_who, maxConcurrency, mapConcurrency) => {
    let running = 0;
    let most = 0;
    const convertPart = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 10));
      running -= 1;
      return {};
    };
    const machine = await stack.machine(
      { plan: planOf(stack, 12, { maxConcurrency }), convertPart },
      { mapConcurrency },
    );
    expect(await machine.run()).toMatchObject({ status: 'SUCCEEDED' });
    expect(most).toBe(Math.min(maxConcurrency, mapConcurrency));
  });

  it('reports how far it is', async () => {
    const machine = await stack.machine();
    await machine.run(REQUEST, 'progress');
    const at = (done: number) => ({ type: 'map', execution: 'progress', state: 'ConvertParts', done, total: 3 });
    expect(machine.events.filter(({ type }) => type === 'map')).toEqual([at(0), at(1), at(2), at(3)]);
    expect(machine.events[0]).toEqual({ type: 'started', execution: 'progress' });
    expect(machine.events.at(-1)).toEqual({ type: 'ended', execution: 'progress', status: 'SUCCEEDED' });
  });

  it('tells each function how long it has', async () => {
    const left: number[] = [];
    const machine = await stack.machine({
      convertPart: async (_payload, context) => {
        left.push(context.getRemainingTimeInMillis());
        expect(context.functionName).toBe('convert-part');
        return {};
      },
    });
    await machine.run();
    expect(left).toHaveLength(3);
    for (const milliseconds of left) expect(milliseconds).toBeGreaterThan(890_000);
    for (const milliseconds of left) expect(milliseconds).toBeLessThanOrEqual(900_000);
  });
});
