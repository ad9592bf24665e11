import { assertWithin } from '../ranges.ts';
import type { OpenSource } from './byte-source.ts';

/** Answers reads of the first bytes from `head`, which was fetched when the source was opened. */
export function withHead(source: OpenSource, head: Uint8Array): OpenSource {
  return {
    ...source,
    async read(range, options = {}) {
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
