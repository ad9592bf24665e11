import { randomUUID } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';
import pMap from 'p-map';
import { indexItems, readItem } from './map-items.ts';
import { type ChildResult, writeResults } from './map-results.ts';
import { runMachine } from './run-machine.ts';
import { StateError, terminalError } from './state-error.ts';
import type { ContextObject, Machine, State, Task, TaskCall } from './task.ts';
import { evaluate } from './template.ts';

/** Children at once where the definition sets no limit. In AWS that means 10,000; here all share one machine. */
const UNLIMITED = 40;

export interface MapParts {
  /** What each child runs. */
  readonly child: Machine;
  readonly s3: S3Client;
  /** The most children at once, whatever the definition says. */
  readonly mapConcurrency: number;
}

/**
 * The task that a Distributed Map becomes: one child execution per line of a JSON Lines object, results to S3. No failure
 * is tolerated: after the first no further child starts. Those that run go on, as in AWS, where nothing stops a Lambda
 * either; here the map waits for them, so that whoever cleans up after it is not overtaken.
 *
 * Throws `States.ExceedToleratedFailureThreshold`, `States.ItemReaderFailed`, `States.ResultWriterFailed`.
 *
 * @throws Error at once if the definition asks for what is not done here.
 */
export function distributedMap(name: string, state: State, { child, s3, mapConcurrency }: MapParts): Task {
  const fields = supported(name, state);
  return async (input, call) => {
    const at = (template: unknown) => evaluate(template, input, call.context);
    const source = (await at(fields.reader)) as { Bucket: string; Key: string };
    const target = (await at(fields.writer)) as { Bucket: string; Prefix: string };
    const concurrency = Math.min(mapConcurrency, concurrencyOf((await at(fields.concurrency)).value));
    const index = await indexItems(s3, source, call.signal);
    const runId = randomUUID();
    const stateMachine = `${call.context.StateMachine.Name}/${fields.label}`;
    const MapRunArn = `${call.context.StateMachine.Id.replace(':stateMachine:', ':mapRun:')}/${fields.label}:${runId}`;
    const children = await runChildren({ name, total: index.items.length, concurrency, call }, async (Index) => {
      const Value = await readItem(s3, index, Index, call.signal);
      const context = { ...call.context, Map: { Item: { Index, Value } } };
      const childInput = fields.selector === undefined ? Value : await evaluate(fields.selector, input, context);
      return runChild(child, childInput, { parent: call.context, stateMachine, signal: call.signal });
    });
    call.signal.throwIfAborted();
    const output = await writeResults(s3, { ...target, runId, MapRunArn }, children);
    if (children.every(({ outcome }) => outcome.ok)) return output;
    throw new StateError(
      'States.ExceedToleratedFailureThreshold',
      'The specified tolerated failure threshold was exceeded',
    );
  };
}

interface Children {
  readonly name: string;
  readonly total: number;
  readonly concurrency: number;
  readonly call: TaskCall;
}

async function runChildren(
  { name, total, concurrency, call }: Children,
  run: (index: number) => Promise<ChildResult>,
): Promise<ChildResult[]> {
  let failed = false;
  let done = 0;
  const unstarted: unknown[] = [];
  call.onMap?.({ state: name, done, total });
  const one = async (index: number): Promise<ChildResult[]> => {
    if (failed || call.signal.aborted) return [];
    try {
      const result = await run(index);
      if (!result.outcome.ok) failed = true;
      else call.onMap?.({ state: name, done: ++done, total });
      return [result];
    } catch (error) {
      failed = true;
      unstarted.push(error);
      return [];
    }
  };
  const children = (await pMap(Array(total).keys(), one, { concurrency })).flat();
  // A child whose input could not be made is not the child's failure but the map's own.
  if (unstarted.length > 0) throw unstarted[0];
  return children;
}

async function runChild(
  machine: Machine,
  input: unknown,
  { parent, stateMachine, signal }: { parent: ContextObject; stateMachine: string; signal: AbortSignal },
): Promise<ChildResult> {
  const Name = randomUUID();
  const ExecutionArn = `${parent.Execution.Id.split(':').slice(0, 6).join(':')}:${stateMachine}:${Name}`;
  const StartDate = new Date().toISOString();
  const context: ContextObject = {
    Execution: { Id: ExecutionArn, Name, Input: input, StartTime: StartDate },
    StateMachine: parent.StateMachine,
  };
  const ended = (outcome: ChildResult['outcome']): ChildResult => ({
    ExecutionArn,
    Name,
    StartDate,
    StopDate: new Date().toISOString(),
    outcome,
  });
  try {
    return ended({ ok: true, output: await runMachine(machine, { input, context, signal }) });
  } catch (error) {
    const { name, message } = error as Error;
    return ended({ ok: false, Error: name, Cause: message });
  }
}

function concurrencyOf(value: unknown): number {
  if (value === 0) return UNLIMITED;
  if (Number.isSafeInteger(value) && Number(value) > 0) return Number(value);
  throw terminalError('States.Runtime', `MaxConcurrency is ${JSON.stringify(value)}, not a whole number from 0`);
}

/** The fields that are done here, or an error: what the machine says must not be ignored in silence. */
function supported(name: string, state: State) {
  const { ItemReader, ResultWriter } = state as Partial<Record<string, Record<string, unknown>>>;
  const refuse = (what: string) => new Error(`the Distributed Map ${name} has ${what}, which is not done here`);
  for (const field of [
    'ItemsPath',
    'ItemBatcher',
    'Parameters',
    'ToleratedFailurePercentage',
    'ToleratedFailureCountPath',
  ]) {
    if (field in state) throw refuse(field);
  }
  if ((state.ToleratedFailureCount ?? 0) !== 0) throw refuse('tolerated failures');
  const reader = JSON.stringify([ItemReader?.Resource, ItemReader?.ReaderConfig]);
  if (reader !== '["arn:aws:states:::s3:getObject",{"InputType":"JSONL"}]') throw refuse(`the reader ${reader}`);
  const { Transformation, OutputType } = (ResultWriter?.WriterConfig ?? {}) as Record<string, unknown>;
  const writer = JSON.stringify([ResultWriter?.Resource, Transformation, OutputType]);
  if (writer !== '["arn:aws:states:::s3:putObject","COMPACT","JSONL"]') throw refuse(`the writer ${writer}`);
  const path = state.MaxConcurrencyPath;
  return {
    reader: ItemReader?.Parameters,
    writer: ResultWriter?.Parameters,
    concurrency: path === undefined ? { value: state.MaxConcurrency ?? 0 } : { 'value.$': path },
    selector: state.ItemSelector,
    label: state.Label ?? name,
  };
}
