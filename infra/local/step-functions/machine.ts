import type { S3Client } from '@aws-sdk/client-s3';
import { distributedMap } from './distributed-map.ts';
import { instrument, isDistributedMap } from './instrument.ts';
import { type LocalFunction, lambdaTask } from './lambda-task.ts';
import { sdkTask } from './sdk-task.ts';
import type { Machine, MachineDefinition, State, Task } from './task.ts';

export interface MachineParts {
  readonly functions: Readonly<Record<string, LocalFunction>>;
  readonly s3: S3Client;
  /** Factor on the waits between attempts: 1 waits as the definition says, 0 not at all. */
  readonly retryDelayScale: number;
  /** The most children of a Distributed Map at once, whatever the definition says. */
  readonly mapConcurrency: number;
}

const SDK_S3 = /^arn:aws[\w-]*:states:::aws-sdk:s3:(\w+)$/;

/**
 * Makes a definition ready to run: every task bound to its function or S3 action, Distributed Maps to their children's machine.
 *
 * @throws Error if a state asks for what is not done here, or names a function that is not given: better now than in the
 * middle of an execution.
 */
export function createMachine(definition: MachineDefinition, parts: MachineParts): Machine {
  const tasks = new Map<string, Task>();
  for (const [name, state] of Object.entries(definition.States)) {
    const task = taskOf(name, state, parts);
    if (task !== undefined) tasks.set(name, task);
  }
  const states = Object.keys(definition.States);
  return { definition: instrument(definition, parts.retryDelayScale), tasks, states };
}

function taskOf(name: string, state: State, parts: MachineParts): Task | undefined {
  if (isDistributedMap(state) && state.ItemProcessor !== undefined) {
    return distributedMap(name, state, { ...parts, child: createMachine(state.ItemProcessor, parts) });
  }
  if (state.Type === 'Map' || state.Type === 'Parallel') throw new Error(`${name}: ${state.Type} is not done here`);
  if (state.Type !== 'Task') return undefined;
  const resource = state.Resource ?? '';
  const action = SDK_S3.exec(resource)?.[1];
  if (action !== undefined) return sdkTask(action, parts.s3);
  const invoke = Object.hasOwn(parts.functions, resource) ? parts.functions[resource] : undefined;
  if (invoke === undefined) throw new Error(`${name}: there is no function for ${resource}`);
  return lambdaTask(resource, state.TimeoutSeconds ?? Number.POSITIVE_INFINITY, invoke);
}
