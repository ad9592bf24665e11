import { clipped } from '../ranges.ts';
import type { ByteSource } from './byte-source.ts';

/** The same bytes, with zeros after their end however far one reads: what QEMU sees of tables that a file cuts off. */
export function zeroPadded(source: ByteSource): ByteSource {
  return {
    size: Number.POSITIVE_INFINITY,
    id: source.id,
    async read({ start, end }, { signal, into } = {}) {
      signal?.throwIfAborted();
      const bytes = into?.fill(0) ?? new Uint8Array(end - start);
      const there = clipped({ start, end }, source.size);
      if (there.start === there.end) return bytes;
      await source.read(there, { signal, into: bytes.subarray(0, there.end - there.start) });
      return bytes;
    },
  };
}
