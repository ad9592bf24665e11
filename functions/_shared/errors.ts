import type { MiddlewareObj } from '@middy/core';
import * as z from 'zod';
import { UnqcowError } from '../../lib/errors.ts';
import type { Deps } from './deps.ts';

/** Whatever was thrown, as one of our codes: what the caller got wrong by its name, a defect as `INTERNAL`. */
export function asUnqcowError(error: unknown): UnqcowError {
  if (error instanceof UnqcowError) return error;
  if (error instanceof z.ZodError) {
    const [issue] = error.issues;
    return new UnqcowError('BAD_REQUEST', issue?.message ?? 'the request is malformed', {
      at: issue?.path.join('.') ?? '',
      cause: error,
    });
  }
  return new UnqcowError('INTERNAL', 'something went wrong here; the log has the details', { cause: error });
}

/**
 * What of a refusal goes into the log: its code and place, and what was behind it. Not its words, which may quote a query, a
 * header or a body; what was malformed is all of it the caller's. Of what failed here, all.
 */
export function logRefusal(log: Deps['log'], { code, at, status, message, cause: error }: UnqcowError): void {
  if (status >= 500) log.error(message, { code, at, error: error as Error });
  else log.info('refused', { code, at, ...(code === 'BAD_REQUEST' ? {} : { error }) });
}

/**
 * Middy ends a handler that overstays; what it throws then must be worth a retry, as Lambda's own word for it is. Lambda
 * counts until the answer has arrived, and the smallest functions have a seventh of a core to send it.
 */
export const ON_TIMEOUT = {
  timeoutEarlyInMillis: 1_000,
  timeoutEarlyResponse: (): never => {
    throw new UnqcowError('TIMED_OUT', 'the function ran out of time');
  },
};

/** For tasks of the state machine: an error's name is its code, which Retry and Catch match on. */
export function namedErrors(log: Deps['log']): MiddlewareObj {
  return {
    onError: (request) => {
      const error = asUnqcowError(request.error);
      log[error.code === 'INTERNAL' ? 'error' : 'warn'](error.message, {
        code: error.code,
        at: error.at,
        error: error.cause as Error,
      });
      throw error;
    },
  };
}
