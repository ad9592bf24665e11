import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { inCall } from './call.ts';
import type { Deps } from './deps.ts';
import { namedErrors, ON_TIMEOUT } from './errors.ts';

/** A function that is no HTTP: errors are named by their codes, and what it came to is counted. */
export function taskHandler<R>({ log, emit }: Deps, handle: (event: unknown, context: Context) => Promise<R>) {
  const run = middy<unknown, R>(ON_TIMEOUT).use(namedErrors(log)).handler(handle);
  return (event: unknown, context: Context): Promise<R> =>
    inCall(emit, { requestId: context.awsRequestId }, () => run(event, context));
}
