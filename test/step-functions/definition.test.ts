import { createRequire } from 'node:module';
import * as s3Module from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import type { MachineDefinition, State } from '../../infra/local/step-functions/task.ts';
import { stateMachineDefinition } from '../../infra/state-machine.ts';
import { ErrorCodes } from '../../lib/errors.ts';
import { SUBSTITUTIONS } from './stack.ts';

type Retrier = {
  ErrorEquals: string[];
  IntervalSeconds: number;
  MaxAttempts: number;
  BackoffRate: number;
  MaxDelaySeconds: number;
  JitterStrategy: string;
};

// Has no types of its own.
const validate = createRequire(import.meta.url)('asl-validator') as (definition: unknown) => {
  isValid: boolean;
  errorsText: (separator: string) => string;
};

const definition = stateMachineDefinition(SUBSTITUTIONS) as MachineDefinition;
const map = definition.States.ConvertParts as State & Record<string, Record<string, unknown>>;
const states = { ...definition.States, ...map.ItemProcessor?.States };
const tasks = Object.entries(states).filter(([, { Type }]) => Type === 'Task');
const lambdas = tasks.filter(([, { Resource }]) => Resource?.startsWith('arn:aws:lambda:'));
const sdkCalls = tasks.filter(([, { Resource }]) => Resource?.includes(':aws-sdk:'));
const retriersOf = (state: State) => (state.Retry ?? []) as unknown as Retrier[];
const retried = (state: State) => retriersOf(state).flatMap(({ ErrorEquals }) => ErrorEquals);

describe('the state machine’s definition', () => {
  it('is valid', () => {
    // A copy: the validator writes into what it is given.
    const { isValid, errorsText } = validate(structuredClone(definition));
    expect(isValid, errorsText('\n')).toBe(true);
  });

  it('has a value for each placeholder, or there is no definition', () => {
    expect(JSON.stringify(definition)).not.toContain('${');
    const { PlanFunctionArn: _, ...rest } = SUBSTITUTIONS;
    expect(() => stateMachineDefinition(rest)).toThrow('PlanFunctionArn');
    expect(() => stateMachineDefinition({ ...rest, toString: 'x' })).toThrow('PlanFunctionArn');
  });

  it('is a new object at every call', () => {
    expect(stateMachineDefinition(SUBSTITUTIONS)).not.toBe(stateMachineDefinition(SUBSTITUTIONS));
    expect(stateMachineDefinition(SUBSTITUTIONS)).toEqual(definition);
  });

  it('calls the four functions, each from one state', () => {
    expect(lambdas.map(([, { Resource }]) => Resource).toSorted()).toEqual(Object.values(SUBSTITUTIONS).toSorted());
  });

  it('ends by itself at some time', () => {
    expect(definition.TimeoutSeconds).toBeGreaterThan(3 * 930);
  });

  it.each(tasks)('bounds %s in time, and no function so short that its own timeout is not heard of', (_name, state) => {
    const least = state.Resource?.startsWith('arn:aws:lambda:') ? 900 : 10;
    expect(state.TimeoutSeconds).toBeGreaterThan(least);
    expect(state.TimeoutSeconds).toBeLessThanOrEqual(960);
  });

  it.each(tasks)('retries %s with longer and longer waits, bounded, with jitter, a few times', (_name, state) => {
    expect(retriersOf(state)).not.toEqual([]);
    for (const retrier of retriersOf(state)) {
      expect(retrier).toMatchObject({ BackoffRate: 2, JitterStrategy: 'FULL' });
      if (retrier.ErrorEquals.includes('Lambda.TooManyRequestsException')) continue;
      expect(retrier.MaxDelaySeconds).toBeLessThanOrEqual(60);
      expect(retrier.MaxAttempts).toBeLessThanOrEqual(4);
    }
  });

  it.each(lambdas)('has %s wait for room in Lambda for hours, but no longer than a job may last', (_name, state) => {
    const retrier = retriersOf(state).find(({ ErrorEquals }) => ErrorEquals[0] === 'Lambda.TooManyRequestsException');
    const { ErrorEquals, IntervalSeconds, MaxAttempts, MaxDelaySeconds } = retrier as Retrier;
    expect(ErrorEquals).toHaveLength(1);
    const longest = Array.from({ length: MaxAttempts }, (_, i) => Math.min(IntervalSeconds * 2 ** i, MaxDelaySeconds));
    // Full jitter halves them, on average.
    const waits = longest.reduce((sum, seconds) => sum + seconds / 2, 0);
    // Where 200 children share 10 functions, a minute each, one waits 20 minutes for its turn, on average, and most of a
    // thousand must not wait in vain for many times that.
    expect(waits).toBeGreaterThan(36 * 20 * 60);
    expect(waits).toBeLessThan(definition.TimeoutSeconds ?? 0);
    // An execution's history ends at 25,000 events. An attempt has three.
    expect(3 * MaxAttempts).toBeLessThan(25_000 / 4);
  });

  it.each(lambdas)('retries %s for what may pass, and for exactly those of our codes that say so', (_name, state) => {
    // Only who looks at an execution from outside meets the other ones.
    const ours = Object.entries(ErrorCodes).filter(
      ([code, { retryable }]) => retryable && !['TOO_MANY_REQUESTS', 'STATE_MACHINE_UNAVAILABLE'].includes(code),
    );
    expect(retried(state).toSorted()).toEqual(
      [
        'Lambda.AWSLambdaException',
        'Lambda.ClientExecutionTimeoutException',
        'Lambda.SdkClientException',
        'Lambda.ServiceException',
        'Lambda.TooManyRequestsException',
        'Lambda.Unknown',
        'Runtime.ExitError',
        'Sandbox.Timedout',
        'States.Timeout',
        ...ours.map(([code]) => code),
      ].toSorted(),
    );
  });

  it('catches everything from the moment that there is an upload', () => {
    for (const name of ['ConvertParts', 'Complete', 'Explain', 'AbortUpload', 'ForgetKeys']) {
      expect(states[name]?.Catch, name).toEqual([expect.objectContaining({ ErrorEquals: ['States.ALL'] })]);
    }
  });

  it('fails by names that are our codes, or are found out as it runs', () => {
    const fails = Object.values(states).filter(({ Type }) => Type === 'Fail');
    expect(fails.map(({ ErrorPath }) => ErrorPath)).toEqual([
      '$.explained.failure.code',
      '$.error.Error',
      '$.error.Error',
    ]);
  });
});

describe('the Distributed Map', () => {
  it('reads JSON Lines and writes compact JSON Lines: names that validators let pass unread', () => {
    expect(map.ItemReader).toEqual({
      Resource: 'arn:aws:states:::s3:getObject',
      ReaderConfig: { InputType: 'JSONL' },
      Parameters: { 'Bucket.$': '$.items.bucket', 'Key.$': '$.items.key' },
    });
    expect(map.ResultWriter).toEqual({
      Resource: 'arn:aws:states:::s3:putObject',
      WriterConfig: { Transformation: 'COMPACT', OutputType: 'JSONL' },
      Parameters: { 'Bucket.$': '$.results.bucket', 'Prefix.$': '$.results.prefix' },
    });
  });

  it('has STANDARD children, since an EXPRESS one ends after five minutes, and tolerates no failure', () => {
    expect(map.ItemProcessor).toMatchObject({ ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } });
    expect(map).toMatchObject({ ToleratedFailureCount: 0 });
  });
});

describe.each(sdkCalls)('the S3 call of %s', (_name, state) => {
  const action = state.Resource?.split(':').at(-1) ?? '';
  const { input, output } = shapes(`${action.charAt(0).toUpperCase()}${action.slice(1)}`);

  it('is a command of client-s3 with parameters that it knows', () => {
    expect(action).toMatch(/^[a-z]/);
    // Step Functions takes no integration without them, whatever its input is.
    expect(state.Parameters).toBeDefined();
    const given = Object.keys(state.Parameters ?? {}).map((key) => key.replace(/\.\$$/, ''));
    expect(given.filter((key) => !input.includes(key))).toEqual([]);
  });

  it('takes from the answer what is in it', () => {
    const paths = Object.values((state.ResultSelector ?? {}) as Record<string, string>);
    const fields = paths.map((path) => /\$\.(\w+)/.exec(path)?.[1]);
    expect(fields.filter((field) => !output.includes(field ?? ''))).toEqual([]);
  });
});

/** Names of the members of an operation's input and output, from the model that client-s3 carries. */
function shapes(operation: string): { input: string[]; output: string[] } {
  const model = s3Module as unknown as Record<string, readonly unknown[] | undefined>;
  const schema = model[`${operation}$`];
  if (schema === undefined) throw new Error(`client-s3 has no ${operation}`);
  const [input, output] = schema
    .slice(4)
    .map((shape) => (typeof shape === 'function' ? shape() : shape)) as unknown[][];
  return { input: input?.[4] as string[], output: output?.[4] as string[] };
}
