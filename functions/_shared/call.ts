import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from '@aws-lambda-powertools/logger';
import { statusOf } from '../../lib/http-status.ts';
import type { Stores } from '../../lib/jobs/stores.ts';
import type { Counts, Emit } from './metrics.ts';

export type Log = Pick<Logger, 'info' | 'warn' | 'error'>;

/** One invocation of a function: what its log lines have in common, and what it comes to. */
interface Call {
  /** `requestId`, and `job` once it is known: what one greps for. */
  readonly keys: Record<string, string>;
  readonly s3: S3Usage;
  counts: Counts;
}

interface S3Usage {
  /** Every attempt, as S3 bills them. */
  requests: number;
  /** Attempts that S3 throttled or answered 5xx, or that broke off. */
  retries: number;
}

const calls = new AsyncLocalStorage<Call>();

/** Runs one invocation, and emits what it comes to, however it ends. Several may run at once on one machine. */
export function inCall<T>(emit: Emit, keys: Record<string, string>, run: () => Promise<T>): Promise<T> {
  const { within, end } = beginCall(emit, keys);
  return within(async () => {
    try {
      return await run();
    } finally {
      end();
    }
  });
}

/** An invocation that goes on until it is told that it has ended: once. */
export function beginCall(emit: Emit, keys: Record<string, string>) {
  const call: Call = { keys, s3: { requests: 0, retries: 0 }, counts: {} };
  const started = Date.now();
  return {
    within: <T>(work: () => T): T => calls.run(call, work),
    end() {
      const { requests: S3Requests, retries: S3Retries } = call.s3;
      emit({ S3Requests, S3Retries, Duration: Date.now() - started, ...call.counts }, call.keys);
    },
  };
}

/** Adds to what the log lines of this invocation have in common. */
export function noteInCall(keys: Readonly<Record<string, string>>): void {
  Object.assign(calls.getStore()?.keys ?? {}, keys);
}

/** Adds to what this invocation comes to. */
export function countInCall(counts: Counts): void {
  const call = calls.getStore();
  if (call) call.counts = { ...call.counts, ...counts };
}

export const s3Usage = (): Readonly<S3Usage> => calls.getStore()?.s3 ?? { requests: 0, retries: 0 };

/** A log whose lines carry the invocation's keys, and of errors what is safe to tell. */
export function withCallKeys(log: Log): Log {
  type Write = (message: string, extra?: object) => void;
  const keyed = (level: keyof Log): Write => {
    const write = log[level].bind(log) as Write;
    return (message, extra = {}) => write(message, { ...calls.getStore()?.keys, ...told(extra) });
  };
  return { info: keyed('info'), warn: keyed('warn'), error: keyed('error') } as Log;
}

/** S3's refusal of a signature repeats it with all that was signed, and the log would write down every field of an error. */
function told(extra: object & { readonly error?: unknown }): object {
  const { error, ...rest } = extra;
  return error instanceof Error
    ? { ...rest, error: { name: error.name, message: error.message, stack: error.stack } }
    : extra;
}

/** Counts what both clients send, for the invocation that has them send it. */
export function counted(stores: Stores): Stores {
  for (const { middlewareStack } of [stores.reader, stores.writer]) {
    // After the SDK's retry, so that each attempt passes here.
    middlewareStack.add((next) => async (args) => countAttempt(() => next(args)), {
      step: 'finalizeRequest',
      priority: 'low',
      name: 'countAttempts',
      override: true,
    });
  }
  return stores;
}

async function countAttempt<T>(send: () => Promise<T>): Promise<T> {
  const { s3 } = calls.getStore() ?? {};
  if (!s3) return send();
  s3.requests += 1;
  try {
    return await send();
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined || status === 429 || status >= 500) s3.retries += 1;
    throw error;
  }
}
