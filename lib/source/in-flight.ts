import type { ByteSource } from './byte-source.ts';

/** Lets no more than so many reads of a source run at a time; the others wait, and are not even begun if they are aborted. */
export function inFlight(source: ByteSource, limit: number): ByteSource {
  let running = 0;
  const waiting: (() => void)[] = [];
  return {
    size: source.size,
    id: source.id,
    async read(range, options) {
      // Whoever ends hands its place to the first that waits.
      if (running === limit) await new Promise<void>((go) => waiting.push(go));
      else running += 1;
      try {
        options?.signal?.throwIfAborted();
        return await source.read(range, options);
      } finally {
        const next = waiting.shift();
        if (next) next();
        else running -= 1;
      }
    },
  };
}
