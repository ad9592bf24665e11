import { setMaxListeners } from 'node:events';
import { ExecutionError, ExecutionTimeoutError, type RunOptions, StateMachine } from 'aws-local-stepfunctions';
import { gateOf } from './instrument.ts';
import { assertWithinLimit, StateError, terminalError } from './state-error.ts';
import type { ContextObject, Machine, Task, TaskCall } from './task.ts';

type Json = Parameters<StateMachine['run']>[0];
type Handlers = NonNullable<NonNullable<RunOptions['overrides']>['taskResourceLocalHandlers']>;

export interface MachineRun extends Pick<TaskCall, 'onMap'> {
  readonly input: unknown;
  readonly context: ContextObject;
  readonly signal: AbortSignal;
  /** Called as each state is entered, before it does anything. */
  readonly onState?: ((state: string) => void) | undefined;
}

/** The machine's own TimeoutSeconds have passed. No Catch sees it. */
export class MachineTimeout extends StateError {}

/**
 * Runs a machine to its end and returns its output. When `signal` fires the run ends at once; functions already called go
 * on by themselves, as in Lambda, and nobody waits for them.
 *
 * @throws StateError with the Error and Cause that the execution failed with.
 * @throws MachineTimeout `States.Timeout`.
 */
export async function runMachine(machine: Machine, run: MachineRun): Promise<unknown> {
  run.signal.throwIfAborted();
  const ended = new AbortController();
  const signal = AbortSignal.any([run.signal, ended.signal]);
  setMaxListeners(0, signal);
  // Kept by reference through the interpreter's copy of the context, so that `$$.State` is always the current one.
  const where = { Name: '', EnteredTime: '' };
  const call: TaskCall = { context: { ...run.context, State: where }, signal, onMap: run.onMap };
  const handlers: Handlers = {};
  for (const [name, task] of machine.tasks) handlers[name] = (input) => guarded(task, input, call);
  for (const name of machine.states) {
    handlers[gateOf(name)] = (input) => {
      assertWithinLimit(input, `input of the state ${name}`);
      Object.assign(where, { Name: name, EnteredTime: new Date().toISOString() });
      run.onState?.(name);
      return input;
    };
  }
  try {
    return await interpret(machine, run.input, { handlers, context: call.context, signal });
  } finally {
    ended.abort();
  }
}

async function interpret(
  { definition }: Machine,
  input: unknown,
  { handlers, context, signal }: { handlers: Handlers; context: ContextObject; signal: AbortSignal },
): Promise<unknown> {
  const interpreter = new StateMachine(definition as unknown as ConstructorParameters<typeof StateMachine>[0], {
    // Checked by the test suite as it was written; gates and fractions of a second are not for a validator.
    validationOptions: { noValidate: true },
  });
  const execution = interpreter.run(input as Json, {
    overrides: { taskResourceLocalHandlers: handlers },
    context: { ...context } as NonNullable<RunOptions['context']>,
  });
  signal.addEventListener('abort', execution.abort, { once: true });
  try {
    const output = await execution.result;
    assertWithinLimit(output, 'output of the execution');
    return output;
  } catch (error) {
    throw stateError(error);
  }
}

/** One attempt of a task: its input and result within the limit, and over at once when the execution is. */
async function guarded(task: Task, input: unknown, call: TaskCall): Promise<Json> {
  assertWithinLimit(input, 'input of the task');
  const result = await untilAborted(() => task(input, call), call.signal);
  assertWithinLimit(result, 'result of the task');
  return result as Json;
}

/** Without this a stopped execution would keep its task's timer, and the process, alive for up to the task's timeout. */
async function untilAborted<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(terminalError('States.Aborted', 'the execution has ended'));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([aborted.promise, ...(signal.aborted ? [] : [work()])]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function stateError(error: unknown): StateError {
  if (error instanceof StateError) return error;
  if (error instanceof ExecutionTimeoutError)
    return new MachineTimeout('States.Timeout', 'the execution ran out of time');
  const cause = error instanceof ExecutionError ? error.cause : error;
  if (cause instanceof StateError) return cause;
  return cause instanceof Error
    ? new StateError(cause.name, cause.message)
    : new StateError('States.Runtime', String(cause));
}
