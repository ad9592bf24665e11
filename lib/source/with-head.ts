import { assertWithin, type ByteRange } from '../ranges.ts';
import { KiB } from '../units.ts';
import type { ByteSource, ReadOptions } from './byte-source.ts';

/** What opening an object brings along, in bytes. Whoever reads no more than this first pays nothing more. */
export const HEAD_LENGTH = 64 * KiB;

/** Answers reads of the first bytes from `head`, which was fetched when the source was opened. */
export function withHead<S extends ByteSource>(source: S, head: Uint8Array): S {
  return {
    ...source,
    async read(range: ByteRange, options: ReadOptions = {}) {
      if (range.end > head.length) return source.read(range, options);
      options.signal?.throwIfAborted();
      assertWithin(range, source.size);
      const bytes = head.subarray(range.start, range.end);
      if (!options.into) return bytes;
      options.into.set(bytes);
      return options.into;
    },
  };
}
