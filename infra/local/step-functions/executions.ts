import { setMaxListeners } from 'node:events';
import type { Journal } from './journal.ts';
import { MachineTimeout, runMachine } from './run-machine.ts';
import { assertExecutionName, ServiceError } from './service-error.ts';
import { DATA_LIMIT } from './state-error.ts';
import type { Machine } from './task.ts';

type ExecutionStatus = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';

export type ExecutionEvent =
  | { readonly type: 'started'; readonly execution: string }
  | { readonly type: 'state'; readonly execution: string; readonly state: string }
  | {
      readonly type: 'map';
      readonly execution: string;
      readonly state: string;
      readonly done: number;
      readonly total: number;
    }
  | {
      readonly type: 'ended';
      readonly execution: string;
      readonly status: Exclude<ExecutionStatus, 'RUNNING'>;
      readonly error?: string;
      readonly cause?: string;
    };

/** An execution as DescribeExecution tells it, but for `output`, which is a value here and JSON there. */
export interface Description {
  readonly name: string;
  readonly executionArn: string;
  readonly status: ExecutionStatus;
  readonly startDate: Date;
  readonly stopDate?: Date;
  /** JSON, exactly as it was given. */
  readonly input: string;
  readonly output?: unknown;
  readonly error?: string;
  readonly cause?: string;
}

interface Execution {
  description: Description;
  readonly stop: AbortController;
  readonly ended: PromiseWithResolvers<Description>;
}

/**
 * The executions of one state machine, in memory; of those that run, the journal knows. A name stays taken for as long as
 * this lives; in AWS it is 90 days after the execution has closed.
 */
export class Executions {
  readonly #machine: Machine;
  readonly #stateMachineArn: string;
  readonly #journal: Journal;
  readonly #onEvent: (event: ExecutionEvent) => void;
  readonly #byName = new Map<string, Execution>();

  constructor(machine: Machine, stateMachineArn: string, journal: Journal, onEvent: (event: ExecutionEvent) => void) {
    this.#machine = machine;
    this.#journal = journal;
    this.#stateMachineArn = stateMachineArn;
    this.#onEvent = onEvent;
  }

  /**
   * Starts an execution, or finds the one that runs under the same name with the very same input.
   *
   * @param input JSON.
   * @throws ServiceError `InvalidName`, `InvalidExecutionInput`, `ExecutionAlreadyExists`.
   */
  start(name: string, input: string): Description {
    assertExecutionName(name);
    const parsed = parseInput(input);
    const known = this.#byName.get(name)?.description;
    if (known?.status === 'RUNNING' && known.input === input) return known;
    if (known !== undefined)
      throw new ServiceError('ExecutionAlreadyExists', `Execution Already Exists: '${known.executionArn}'`);
    const description: Description = {
      name,
      executionArn: this.arnOf(name),
      status: 'RUNNING',
      startDate: new Date(),
      input,
    };
    const execution: Execution = { description, stop: new AbortController(), ended: Promise.withResolvers() };
    setMaxListeners(0, execution.stop.signal);
    this.#journal.begun(name, input);
    this.#byName.set(name, execution);
    this.#onEvent({ type: 'started', execution: name });
    void this.#run(execution, parsed);
    return description;
  }

  /** Starts again, from its first state, what another machine left: every step is safe to run twice. */
  resume(): void {
    for (const { name, input } of this.#journal.unfinished()) if (!this.#byName.has(name)) this.start(name, input);
  }

  arnOf(name: string): string {
    return `${this.#stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;
  }

  /** @throws ServiceError `ExecutionDoesNotExist` */
  describe(name: string): Description {
    return this.#find(name).description;
  }

  /** Resolves once the execution has ended, however it did. @throws ServiceError `ExecutionDoesNotExist` */
  async wait(name: string): Promise<Description> {
    return this.#find(name).ended.promise;
  }

  /** Newest first. */
  list(): readonly Description[] {
    return [...this.#byName.values()].map(({ description }) => description).reverse();
  }

  /** Ends an execution at once: no Retry, no Catch, no clean-up. One that has ended stays as it is. */
  stop(name: string, reason: { readonly error?: string; readonly cause?: string } = {}): Description {
    const execution = this.#find(name);
    this.#end(execution, { status: 'ABORTED', ...reason });
    execution.stop.abort();
    return execution.description;
  }

  async #run(execution: Execution, input: unknown): Promise<void> {
    const { name, executionArn, startDate } = execution.description;
    const arn = this.#stateMachineArn;
    try {
      const output = await runMachine(this.#machine, {
        input,
        signal: execution.stop.signal,
        context: {
          Execution: { Id: executionArn, Name: name, Input: input, StartTime: startDate.toISOString() },
          StateMachine: { Id: arn, Name: arn.split(':').at(-1) ?? arn },
        },
        onState: (state) => this.#onEvent({ type: 'state', execution: name, state }),
        onMap: (progress) => this.#onEvent({ type: 'map', execution: name, ...progress }),
      });
      this.#end(execution, { status: 'SUCCEEDED', output });
    } catch (thrown) {
      const { name: error, message: cause } = thrown as Error;
      this.#end(execution, { status: thrown instanceof MachineTimeout ? 'TIMED_OUT' : 'FAILED', error, cause });
    }
  }

  #end(execution: Execution, outcome: Outcome): void {
    if (execution.description.status !== 'RUNNING') return;
    execution.description = { ...execution.description, ...outcome, stopDate: new Date() };
    this.#journal.ended(execution.description.name);
    const { status, error, cause } = outcome;
    const reason = { ...(error === undefined ? {} : { error }), ...(cause === undefined ? {} : { cause }) };
    execution.ended.resolve(execution.description);
    this.#onEvent({ type: 'ended', execution: execution.description.name, status, ...reason });
  }

  #find(name: string): Execution {
    const execution = this.#byName.get(name);
    if (execution !== undefined) return execution;
    throw new ServiceError('ExecutionDoesNotExist', `Execution Does Not Exist: '${this.arnOf(name)}'`);
  }
}

type Outcome = Pick<Description, 'output' | 'error' | 'cause'> & {
  readonly status: Exclude<ExecutionStatus, 'RUNNING'>;
};

function parseInput(input: string): unknown {
  if (Buffer.byteLength(input) > DATA_LIMIT) {
    throw new ServiceError('InvalidExecutionInput', `the input is longer than ${DATA_LIMIT} bytes`);
  }
  try {
    return JSON.parse(input);
  } catch (error) {
    throw new ServiceError(
      'InvalidExecutionInput',
      `Invalid State Machine Execution Input: '${(error as Error).message}'`,
    );
  }
}
