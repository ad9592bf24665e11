import type { MachineDefinition, Retrier, State } from './task.ts';

/** The longest a timer can wait, in whole seconds. The interpreter's own default for a task is 60 s, AWS's is years. */
const NO_TIMEOUT = Math.floor((2 ** 31 - 1) / 1000);

/** The task that runs before a state. States' names are at most 80 characters, so no real state has this one. */
export const gateOf = (state: string): string => `${'→'.repeat(81)}${state}`;

export const isDistributedMap = (state: State): boolean =>
  state.Type === 'Map' && state.ItemProcessor?.ProcessorConfig?.Mode === 'DISTRIBUTED';

/**
 * Rewrites a definition into one that the interpreter runs as Step Functions would:
 * - before every state a gate, a task in which the runner holds the state's input to the data limit and learns where the
 *   execution is. The interpreter has no such hook, and its event log comes too late to refuse anything;
 * - a Distributed Map, whose reader and writer the interpreter ignores without a word, becomes a task;
 * - waits between attempts are multiplied by `retryDelayScale`.
 */
export function instrument(definition: MachineDefinition, retryDelayScale: number): MachineDefinition {
  const states: Record<string, State> = {};
  for (const [name, state] of Object.entries(definition.States)) {
    states[gateOf(name)] = { Type: 'Task', Resource: 'gate', Next: name };
    states[name] = throughGates(scaled(isDistributedMap(state) ? asTask(state) : withTimeout(state), retryDelayScale));
  }
  return { ...definition, StartAt: gateOf(definition.StartAt), States: states };
}

function asTask(state: State): State {
  const { InputPath, ResultSelector, ResultPath, OutputPath, Retry, Catch, Next, End } = state;
  const kept = { InputPath, ResultSelector, ResultPath, OutputPath, Retry, Catch, Next, End };
  const present = Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined));
  return { ...present, Type: 'Task', Resource: 'map', TimeoutSeconds: NO_TIMEOUT };
}

function withTimeout(state: State): State {
  if (state.Type !== 'Task' || state.TimeoutSeconds !== undefined || 'TimeoutSecondsPath' in state) return state;
  return { ...state, TimeoutSeconds: NO_TIMEOUT };
}

function scaled(state: State, scale: number): State {
  if (state.Retry === undefined) return state;
  const retrier = (from: Retrier): Retrier => ({
    ...from,
    IntervalSeconds: (from.IntervalSeconds ?? 1) * scale,
    ...(from.MaxDelaySeconds === undefined ? {} : { MaxDelaySeconds: from.MaxDelaySeconds * scale }),
  });
  return { ...state, Retry: state.Retry.map(retrier) };
}

/** Sends every transition of a state to the gate of its target: Next, Default, and the Next in each of Choices and Catch. */
function throughGates(state: State): State {
  const gated: Record<string, unknown> = { ...state };
  for (const field of ['Next', 'Default']) if (typeof gated[field] === 'string') gated[field] = gateOf(gated[field]);
  for (const field of ['Choices', 'Catch']) {
    const rules = gated[field];
    if (Array.isArray(rules))
      gated[field] = rules.map((rule: { Next: string }) => ({ ...rule, Next: gateOf(rule.Next) }));
  }
  return gated as State;
}
