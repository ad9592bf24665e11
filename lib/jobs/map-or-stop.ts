import pMap from 'p-map';

export interface MapOptions {
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes all of them, some at a time. If one fails, the others are told to stop and waited for: what the caller cleans up
 * then stays clean.
 */
export async function mapOrStop<T, R>(
  items: readonly T[],
  make: (item: T, signal: AbortSignal) => Promise<R>,
  { concurrency, signal }: MapOptions,
): Promise<R[]> {
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const running = new Set<Promise<R>>();
  const start = (item: T) => {
    const made = make(item, either);
    running.add(made);
    return made.finally(() => running.delete(made));
  };
  try {
    return await pMap(items, start, { concurrency, ...(signal ? { signal } : {}) });
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(running);
    throw error;
  }
}
