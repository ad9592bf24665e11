import { AsyncLocalStorage } from 'node:async_hooks';
import { S3Client } from '@aws-sdk/client-s3';
import type { LocalFunction } from '../../infra/local/step-functions/server.ts';
import { openStores, type Stores } from '../../lib/jobs/stores.ts';
import type { Patience } from '../../lib/patience.ts';
import type { Target } from '../s3/target.ts';
import { BY } from './kinds.ts';

/**
 * How long anything is waited for, in milliseconds: as long as a busy machine may take, or, where a fault is that nothing
 * comes, less than in AWS. Attempts are as many.
 */
export const WAITS = { long: 20_000, short: 3_000 } as const;

const patienceOf = (answer: number): Patience => ({
  attempts: 5,
  idle: answer / 2,
  whole: answer * 5,
  answer,
  send: answer * 5,
  maxPause: 2,
});

/** For the state machine's own calls, which AWS makes in its own way. */
export const handlerOf = (wait: number) => ({
  requestHandler: { requestTimeout: wait, throwOnRequestTimeout: true, socketTimeout: wait },
});

const running = new AsyncLocalStorage<string>();

/** A function whose requests carry its name; also those that it makes while its answer is sent. */
export const calling =
  (name: string, work: LocalFunction): LocalFunction =>
  async (payload, context) => {
    const answer = await running.run(name, () => work(payload, context));
    const { body } = (answer ?? {}) as { body?: unknown };
    return isStream(body) ? { ...(answer as object), body: within(name, body) } : answer;
  };

const isStream = (body: unknown): body is AsyncIterable<unknown> =>
  typeof body === 'object' && body !== null && Symbol.asyncIterator in body;

function within(name: string, body: AsyncIterable<unknown>): AsyncIterable<unknown> {
  const pieces = body[Symbol.asyncIterator]();
  const end = async () =>
    (await running.run(name, () => pieces.return?.())) ?? { done: true as const, value: undefined };
  return { [Symbol.asyncIterator]: () => ({ next: () => running.run(name, () => pieces.next()), return: end }) };
}

export function plainClient({ region, credentials }: Target, endpoint: string): S3Client {
  return new S3Client({ endpoint, region, credentials, forcePathStyle: true });
}

/** The functions' clients as they are, but for their patience, and a header that says which function asks. */
export function watchedStores({ region, credentials }: Target, endpoint: string, wait: number): Stores {
  const stores = openStores({ endpoint, region, credentials }, patienceOf(wait));
  for (const client of [stores.reader, stores.writer]) {
    // After the request was signed, so that the store does not know of it.
    client.middlewareStack.add(
      (next) => (args) => {
        const { headers } = args.request as { headers: Record<string, string> };
        headers[BY] = running.getStore() ?? 'nobody';
        return next(args);
      },
      { step: 'deserialize', priority: 'low', name: 'calledBy' },
    );
  }
  hasten(stores.writer);
  return stores;
}

/**
 * The SDK decides what is tried again and how often. Its pauses are cut; and each request has all of the retries that a
 * client has in stock: what one meets must not depend on what others met before it.
 */
function hasten({ config }: S3Client): void {
  const { retryStrategy } = config;
  const retryBackoffStrategy = { value: { setDelayBase() {}, computeNextBackoffDelay: () => 1 } };
  config.retryStrategy = async () => Object.create(await retryStrategy(), { retryBackoffStrategy });
}
