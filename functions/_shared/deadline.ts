import type { Context } from 'aws-lambda';
import { UnqcowError } from '../../lib/errors.ts';

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
