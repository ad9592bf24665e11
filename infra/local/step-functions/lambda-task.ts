import { randomUUID } from 'node:crypto';
import type { Context } from 'aws-lambda';
import { StateError } from './state-error.ts';
import type { Task } from './task.ts';

/** A Lambda as the runner sees it: JSON in, JSON out, errors by `name`. */
export type LocalFunction = (payload: unknown, context: Context) => Promise<unknown>;

/** Lambda's longest, in seconds. */
const MAX_LAMBDA_SECONDS = 900;

/**
 * The task that calls a function. Payload and answer pass through JSON, so that nothing gets by here that would not in AWS.
 * A function that overstays is not stopped: the state gives up on it by its TimeoutSeconds.
 *
 * @param timeoutSeconds The state's; the function is told that it has as long, but at most Lambda's 900 s.
 */
export function lambdaTask(arn: string, timeoutSeconds: number, invoke: LocalFunction): Task {
  return async (input) => {
    const deadline = Date.now() + Math.min(timeoutSeconds, MAX_LAMBDA_SECONDS) * 1000;
    try {
      return throughJson(await invoke(throughJson(input), lambdaContext(arn, deadline)));
    } catch (error) {
      // What stands in for another service's integration names its errors itself.
      throw error instanceof StateError ? error : lambdaError(error);
    }
  };
}

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value) ?? 'null');

/** As Step Functions reports a function's error: its name, and what Lambda answered with as a string of JSON. */
function lambdaError(error: unknown): StateError {
  const { errorType, errorMessage, trace } =
    error instanceof Error
      ? { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') }
      : { errorType: typeof error, errorMessage: String(error), trace: [] };
  return new StateError(errorType, JSON.stringify({ errorType, errorMessage, trace }));
}

/** A context as a function meets it. `deadline` in milliseconds since 1970. */
export function lambdaContext(arn: string, deadline: number): Context {
  const functionName = arn.split(':')[6] ?? arn;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: arn,
    memoryLimitInMB: '10240',
    awsRequestId: randomUUID(),
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: 'local',
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
    // Deprecated by Lambda, but part of its type. An async function never calls them.
    done: () => undefined,
    fail: () => undefined,
    succeed: () => undefined,
  };
}
