import type { Context } from 'aws-lambda';
import { type ErrorCode, UnqcowError } from '../../lib/errors.ts';

/**
 * A signal that ends the work while there is time left to clean up: after a SIGKILL at the limit nothing is. The handler
 * waits for what it stops, which a race against a timer would not.
 *
 * @param margin Milliseconds to keep for cleaning up.
 */
export function deadline(context: Context, margin: number): AbortSignal {
  const stop = new AbortController();
  const left = Math.max(0, context.getRemainingTimeInMillis() - margin);
  const timer = setTimeout(() => stop.abort(new UnqcowError('TIMED_OUT', 'the function ran out of time')), left);
  timer.unref();
  return stop.signal;
}

/** Milliseconds that are kept to say that the time did not suffice, and for what an HTTP API takes of its 30 s itself. */
const ANSWER_MARGIN = 4_000;

/**
 * Does what may take longer than an answer over HTTP may: it is stopped before API Gateway gives up, and refused by a name
 * that says so, since another try would take as long.
 */
export async function withinAnswer<R>(
  context: Context,
  code: ErrorCode,
  message: string,
  work: (signal: AbortSignal) => Promise<R>,
): Promise<R> {
  const signal = deadline(context, ANSWER_MARGIN);
  try {
    return await work(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new UnqcowError(code, message, { cause: error });
  }
}
