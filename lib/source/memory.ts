import { createHash } from 'node:crypto';
import { assertWithin } from '../ranges.ts';
import type { ByteSource } from './byte-source.ts';

/** Bytes that are in memory already. The array must not be changed afterwards. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    id: `memory:${createHash('sha256').update(bytes).digest('hex')}`,
    async read(range, { signal, into } = {}) {
      signal?.throwIfAborted();
      assertWithin(range, bytes.length);
      const slice = bytes.subarray(range.start, range.end);
      if (!into) return slice;
      into.set(slice);
      return into;
    },
  };
}
