/** `$$` in the States Language. Distributed Map's children have their own, with their own Execution. */
export interface ContextObject {
  readonly Execution: {
    readonly Id: string;
    readonly Name: string;
    readonly Input: unknown;
    readonly StartTime: string;
  };
  readonly StateMachine: { readonly Id: string; readonly Name: string };
  readonly State?: { readonly Name: string; readonly EnteredTime: string };
}

/** What a task is told beside its input. */
export interface TaskCall {
  readonly context: ContextObject;
  /** Fires when the execution ends without this task: stopped, out of time, or the runner closes. */
  readonly signal: AbortSignal;
  /** Reports how far a Distributed Map has come; counts are child executions. */
  readonly onMap?:
    | ((progress: { readonly state: string; readonly done: number; readonly total: number }) => void)
    | undefined;
}

/** The work of one Task state: effective input to raw result. Throws {@link StateError}. */
export type Task = (input: unknown, call: TaskCall) => Promise<unknown>;

/** A state as far as the runner looks into it; the interpreter reads the rest. */
export interface State {
  readonly Type: string;
  readonly Resource?: string;
  readonly TimeoutSeconds?: number;
  readonly Label?: string;
  readonly Retry?: readonly Retrier[];
  readonly ItemProcessor?: MachineDefinition & { readonly ProcessorConfig?: { readonly Mode?: string } };
  readonly [field: string]: unknown;
}

export interface Retrier {
  readonly IntervalSeconds?: number;
  readonly MaxDelaySeconds?: number;
  readonly [field: string]: unknown;
}

export interface MachineDefinition {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, State>>;
  readonly TimeoutSeconds?: number;
}

/** A definition made ready to run, and the work of each of its tasks by the state's name. */
export interface Machine {
  readonly definition: MachineDefinition;
  readonly tasks: ReadonlyMap<string, Task>;
  readonly states: readonly string[];
}
