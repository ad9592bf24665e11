import type { S3Client } from '@aws-sdk/client-s3';
import { listen } from '../aws-json.ts';
import { createActions } from './actions.ts';
import { type Description, type ExecutionEvent, Executions } from './executions.ts';
import { type Journal, NO_JOURNAL } from './journal.ts';
import type { LocalFunction } from './lambda-task.ts';
import { createMachine } from './machine.ts';
import type { MachineDefinition } from './task.ts';

export type { Description, ExecutionEvent } from './executions.ts';
export type { LocalFunction } from './lambda-task.ts';

export interface StepFunctionsOptions {
  /** The state machine, its placeholders replaced. */
  readonly definition: unknown;
  readonly stateMachineArn: string;
  /** By the ARN that the definition calls them by. */
  readonly functions: Readonly<Record<string, LocalFunction>>;
  /** For SDK integrations, and for the items and results of Distributed Maps. */
  readonly s3: S3Client;
  /** Of the endpoint on loopback; 0 or nothing for any that is free. */
  readonly port?: number;
  /** Factor on the waits between attempts; 0 for none, which is for tests. */
  readonly retryDelayScale?: number;
  /**
   * The most children of a Distributed Map at once, where the definition allows more: in AWS each has a machine of its own,
   * here they share one's memory. No bound of its own by default.
   */
  readonly mapConcurrency?: number;
  /** What is told of executions that run, for a machine that comes after this one; nothing if left out. */
  readonly journal?: Journal | undefined;
  /** Told of every step of an execution, in order. Not of the states inside a map's children. */
  readonly onEvent?: (event: ExecutionEvent) => void;
}

export interface LocalStepFunctions {
  /** Speaks AWS JSON 1.0: StartExecution, DescribeExecution, StopExecution, ListExecutions. */
  readonly endpoint: string;
  /** @throws ServiceError `InvalidName`, `InvalidExecutionInput`, `ExecutionAlreadyExists`. */
  start(name: string, input: unknown): Description;
  /** Starts again what another machine left unfinished in the journal. */
  resume(): void;
  /** @throws ServiceError `ExecutionDoesNotExist` */
  describe(name: string): Description;
  /** @throws ServiceError `ExecutionDoesNotExist` */
  wait(name: string): Promise<Description>;
  /** Stops what runs, without any Catch, and the endpoint. Waits for no function. */
  close(): Promise<void>;
}

const STEP_FUNCTIONS = { target: 'AWSStepFunctions', version: '1.0', errors: 'com.amazonaws.sfn#' } as const;

/**
 * Runs one state machine on this machine, in this process, as Step Functions would.
 *
 * @throws Error if the definition asks for something that is not done here, or names a function that is not given.
 */
export async function startStepFunctions(options: StepFunctionsOptions): Promise<LocalStepFunctions> {
  const {
    stateMachineArn,
    functions,
    s3,
    retryDelayScale = 1,
    mapConcurrency = Number.POSITIVE_INFINITY,
    journal = NO_JOURNAL,
    onEvent = () => undefined,
  } = options;
  const machine = createMachine(options.definition as MachineDefinition, {
    functions,
    s3,
    retryDelayScale,
    mapConcurrency,
  });
  const executions = new Executions(machine, stateMachineArn, journal, onEvent);
  const server = await listen(STEP_FUNCTIONS, createActions(executions, stateMachineArn), options.port ?? 0);
  return {
    endpoint: server.endpoint,
    start: (name, input) => executions.start(name, JSON.stringify(input) ?? ''),
    resume: () => executions.resume(),
    describe: (name) => executions.describe(name),
    wait: (name) => executions.wait(name),
    async close() {
      await server.close();
      for (const { name, status } of executions.list()) if (status === 'RUNNING') executions.stop(name);
    },
  };
}
