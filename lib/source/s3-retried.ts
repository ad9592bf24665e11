import type { S3Client } from '@aws-sdk/client-s3';
import pRetry from 'p-retry';
import type { Patience } from '../patience.ts';
import type { Meter } from './metered.ts';
import { patienceOf } from './s3-client.ts';
import { asSourceError, isWorthRetrying, type Place } from './s3-errors.ts';

/** With patience of its own, where it is not to be the client's. */
export interface RetryOptions extends Partial<Patience> {
  /** Counts every attempt, the one that opens included. */
  readonly meter?: Meter;
  /** Stops opening and checking; reads have their own. */
  readonly signal?: AbortSignal | undefined;
}

/** One try of a request: stopped by the signal; `alive` says that something came. */
type Attempt<T> = (signal: AbortSignal, alive: () => void) => Promise<T>;

/** Runs one request with timeouts per attempt, tries again with backoff and jitter, and speaks in our own errors. */
export async function retried<T>(
  client: S3Client,
  place: Place,
  options: RetryOptions,
  request: Attempt<T>,
): Promise<T> {
  const { meter, signal } = options;
  const patience = { ...patienceOf(client), ...options };
  const { attempts, maxPause } = patience;
  try {
    return await pRetry(
      () => {
        if (meter) meter.requests += 1;
        return limited(request, patience, signal);
      },
      {
        retries: attempts - 1,
        minTimeout: Math.min(100, maxPause),
        maxTimeout: maxPause,
        randomize: true,
        ...(signal ? { signal } : {}),
        shouldRetry: ({ error }) => isWorthRetrying(error),
      },
    );
  } catch (error) {
    signal?.throwIfAborted();
    throw asSourceError(place, error);
  }
}

/** A slow link is not a dead one: an attempt goes on as long as bytes come, if not for ever. */
async function limited<T>(request: Attempt<T>, { idle, whole }: Patience, signal?: AbortSignal): Promise<T> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`not a byte for ${idle} ms`)), idle);
  const limits = [silence.signal, AbortSignal.timeout(whole), ...(signal ? [signal] : [])];
  try {
    return await request(AbortSignal.any(limits), () => void timer.refresh());
  } finally {
    clearTimeout(timer);
  }
}
