import type { ByteRange } from '../ranges.ts';
import type { ByteSource, ReadOptions } from './byte-source.ts';

/** What reading has cost so far. */
export interface Meter {
  requests: number;
  /** Bytes that were asked for and came. */
  bytes: number;
}

export const newMeter = (): Meter => ({ requests: 0, bytes: 0 });

/** Counts the reads that reach `source`. Innermost, it counts what is really fetched; outermost, what is used. */
export function metered<S extends ByteSource>(source: S, meter: Meter): S {
  return {
    ...source,
    async read(range: ByteRange, options?: ReadOptions) {
      meter.requests += 1;
      const bytes = await source.read(range, options);
      meter.bytes += bytes.length;
      return bytes;
    },
  };
}
