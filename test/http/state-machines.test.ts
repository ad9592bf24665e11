import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publishedSchemas } from '../../functions/_shared/published-schemas.ts';
import { type Description, type LocalFunction, startStepFunctions } from '../../infra/local/step-functions/server.ts';
import { StateError } from '../../infra/local/step-functions/state-error.ts';
import { putText } from '../../lib/sink/s3-object.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';

const UNQCOW = 'arn:aws:states:us-east-1:123456789012:stateMachine:unqcow';
const pasted = (file: string) =>
  JSON.parse(readFileSync(`docs/guides/${file}`, 'utf8').replaceAll(`\${UnqcowStateMachineArn}`, UNQCOW));

const ajv = new Ajv2020({ strict: false });
formats.default(ajv);
const { 'conversion-input.v1.json': input, 'conversion-output.v1.json': output } = publishedSchemas();
const [isInput, isOutput] = [ajv.compile(input), ajv.compile(output)];

const pipeline = usePipeline();
const folder = mkdtempSync(join(tmpdir(), 'unqcow-called-'));
beforeAll(async () => {
  const path = join(folder, 'disk');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '2M']);
  await pipeline.put(path, 'disk');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What Step Functions' integration does, with the conversion for real. */
const sync: LocalFunction = async (payload) => {
  const { StateMachineArn, Input } = payload as { StateMachineArn: string; Input: unknown };
  expect(StateMachineArn).toBe(UNQCOW);
  expect(isInput(Input), ajv.errorsText(isInput.errors)).toBe(true);
  const { name: Name, status: Status, output: Output, error: Error_, cause: Cause } = await pipeline.convert(Input);
  if (Status === 'SUCCEEDED') return { Name, Status, Output };
  throw new StateError('States.TaskFailed', JSON.stringify({ Name, Status, Error: Error_, Cause }));
};

async function run(request: object): Promise<Description> {
  const caller = await startStepFunctions({
    definition: pasted('call-unqcow.asl.json'),
    stateMachineArn: 'arn:aws:states:us-east-1:123456789012:stateMachine:caller',
    functions: { 'arn:aws:states:::states:startExecution.sync:2': sync },
    s3: pipeline.client,
    retryDelayScale: 0,
  });
  caller.start('one', request);
  const ended = await caller.wait('one');
  await caller.close();
  return ended;
}

const request = (key: string) => ({
  image: { bucket: pipeline.stack.buckets.images, key },
  disk: { bucket: pipeline.stack.buckets.raw, key: `${key}.raw` },
});

describe('a state machine that calls unqcow', () => {
  it('goes on with the disk', async () => {
    const ended = await run(request('disk'));
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { disk: request('disk').disk, size: 2 * 2 ** 20 } });
  });

  it('tells failures apart by their codes', async () => {
    const taken = { ...request('disk').disk, key: 'taken' };
    await putText(pipeline.stores.writer, taken, 'something else', { contentType: 'text/plain' });
    expect(await run({ ...request('disk'), disk: taken })).toMatchObject({
      status: 'SUCCEEDED',
      output: { execution: { Error: 'DESTINATION_EXISTS' } },
    });
    expect(await run(request('missing'))).toMatchObject({ status: 'FAILED', error: 'SOURCE_NOT_FOUND' });
  });
});

describe('the published schemas', () => {
  it('are met by the output of a conversion', async () => {
    const { image: source, disk: destination } = request('disk');
    const { output } = await pipeline.convert({ source, destination });
    expect(isOutput(output), ajv.errorsText(isOutput.errors)).toBe(true);
    expect(isOutput({ ...(output as object), size: 'large' })).toBe(false);
  });

  it.each([
    { source: { bucket: 'b' } },
    { source: { bucket: 'images', key: 'a' }, destination: { bucket: 'raw', key: 'b' }, option: {} },
  ])('refuse an input that the state machine would refuse: %j', (given) => {
    expect(isInput(given)).toBe(false);
  });
});

describe('the rule for a conversion’s end', () => {
  /** As EventBridge matches lists of exact values. */
  const matches = (pattern: object, event: object): boolean =>
    Object.entries(pattern).every(([name, wanted]) => {
      const value = (event as Record<string, unknown>)[name];
      return Array.isArray(wanted) ? wanted.includes(value) : matches(wanted, (value ?? {}) as object);
    });
  /** @see Step Functions' developer guide, EventBridge events of Standard workflows */
  const event = (status: string, stateMachineArn = UNQCOW) => ({
    ...{ version: '0', source: 'aws.states', 'detail-type': 'Step Functions Execution Status Change' },
    detail: { stateMachineArn, name: 'a-job', status, input: '{}', output: null, startDate: 1, stopDate: 2 },
  });

  it.each([
    ['SUCCEEDED', true],
    ['FAILED', true],
    ['TIMED_OUT', true],
    ['ABORTED', true],
    ['RUNNING', false],
  ])('takes %s: %s', (status, taken) => {
    expect(matches(pasted('conversion-ended.rule.json'), event(status))).toBe(taken);
  });

  it('takes nothing of other state machines', () => {
    expect(matches(pasted('conversion-ended.rule.json'), event('FAILED', `${UNQCOW}-other`))).toBe(false);
  });
});
