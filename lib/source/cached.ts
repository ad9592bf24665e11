import { LRUCache } from 'lru-cache';
import { assertWithin } from '../ranges.ts';
import { KiB, MiB } from '../units.ts';
import type { ByteSource } from './byte-source.ts';

export interface CacheLimits {
  /** The most that is kept, in bytes. What is least recently used goes first. */
  readonly maxBytes?: number;
  /** Reads are widened to blocks of this many bytes, aligned to it. */
  readonly blockSize?: number;
}

/**
 * Keeps what was read, for metadata that is read again. Callers that want the same block at the same time share one
 * request, which goes on if one of them leaves. A failure is not kept: the next read asks again.
 *
 * Costs one request per run of neighbouring blocks that are not there yet.
 */
export function cached(
  source: ByteSource,
  { maxBytes = 16 * MiB, blockSize = 64 * KiB }: CacheLimits = {},
): ByteSource {
  const blocks = new LRUCache<number, Uint8Array>({ maxSize: maxBytes, sizeCalculation: (block) => block.length });
  const loading = new Map<number, Promise<Uint8Array>>();

  /** Starts one request for the blocks `[first, end)`, none of which is there or on its way. */
  const load = (first: number, end: number) => {
    const start = first * blockSize;
    const run = source.read({ start, end: Math.min(end * blockSize, source.size) });
    for (let index = first; index < end; index += 1) {
      const from = (index - first) * blockSize;
      const block = run.then((bytes) => bytes.slice(from, from + blockSize));
      loading.set(index, block);
      // These run before anybody who waits hears of it: whoever asks again at once does not find the failure.
      const forget = () => loading.delete(index);
      block.then((bytes) => forget() && blocks.set(index, bytes), forget);
    }
  };

  const blocksOf = (first: number, end: number) => {
    const found = new Map<number, Uint8Array | Promise<Uint8Array>>();
    for (let index = first; index < end; index += 1) {
      const here = blocks.get(index) ?? loading.get(index);
      if (here) found.set(index, here);
    }
    for (let index = first; index < end; index += 1) {
      if (found.has(index)) continue;
      let stop = index + 1;
      while (stop < end && !found.has(stop)) stop += 1;
      load(index, stop);
      for (let i = index; i < stop; i += 1) found.set(i, loading.get(i) as Promise<Uint8Array>);
    }
    return found;
  };

  return {
    size: source.size,
    id: source.id,
    async read(range, { signal, into } = {}) {
      signal?.throwIfAborted();
      assertWithin(range, source.size);
      const bytes = into ?? new Uint8Array(range.end - range.start);
      if (bytes.length === 0) return bytes;
      const wanted = blocksOf(Math.floor(range.start / blockSize), Math.ceil(range.end / blockSize));
      const ready = await orAborted(Promise.all(wanted.values()), signal);
      [...wanted.keys()].forEach((index, i) => {
        const blockStart = index * blockSize;
        const from = Math.max(range.start, blockStart);
        const to = Math.min(range.end, blockStart + blockSize);
        const block = ready[i] as Uint8Array;
        bytes.set(block.subarray(from - blockStart, to - blockStart), from - range.start);
      });
      return bytes;
    },
  };
}

/** Waits for a promise that others wait for too: an abort ends this wait, not the work. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
