import { setTimeout as pause } from 'node:timers/promises';

/** Milliseconds after which Lambda tries an event again whose function failed. After the last it goes to the queue of failures. */
const RETRIES = [60_000, 120_000];

export interface AsyncInvocationOptions {
  /** Factor on the waits between attempts. */
  readonly retryDelayScale: number;
  /** Ends what waits for its next attempt. */
  readonly signal: AbortSignal;
}

/**
 * Invokes a function as Lambda does for S3 and EventBridge, which do not wait for it: an event that fails comes twice more.
 *
 * @throws what the last attempt did: in AWS it goes to the function's on-failure destination, with the event.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
 */
export async function invokedAsync<R>(
  invoke: () => Promise<R>,
  { retryDelayScale, signal }: AsyncInvocationOptions,
): Promise<R> {
  for (const wait of RETRIES) {
    try {
      return await invoke();
    } catch {
      await pause(wait * retryDelayScale, undefined, { signal, ref: false });
    }
  }
  return invoke();
}
