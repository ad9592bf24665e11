import { ExecutionError, type RunOptions, StateMachine } from 'aws-local-stepfunctions';
import type { ContextObject } from './task.ts';

/**
 * Evaluates a payload template: JSONPath, `$$` and intrinsic functions, by the interpreter's own Parameters of a Pass state.
 *
 * @throws the interpreter's error, by the name that the States Language gives it.
 */
export async function evaluate(
  template: unknown,
  input: unknown,
  context: ContextObject & { readonly Map?: unknown },
): Promise<Record<string, unknown>> {
  // The interpreter sets Execution.Input and Execution.StartTime to those of the machine it runs, here this very Pass.
  const parameters = JSON.parse(JSON.stringify(template).replaceAll('$$.Execution', () => '$$.Caller'));
  const pass = new StateMachine(
    { StartAt: 'Evaluate', States: { Evaluate: { Type: 'Pass', Parameters: parameters, End: true } } },
    { validationOptions: { noValidate: true } },
  );
  const callers = { ...context, Caller: context.Execution } as NonNullable<RunOptions['context']>;
  const run = pass.run(input as Parameters<StateMachine['run']>[0], { context: callers });
  try {
    return (await run.result) as Record<string, unknown>;
  } catch (error) {
    throw error instanceof ExecutionError ? error.cause : error;
  }
}
