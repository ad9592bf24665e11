import type { ByteRange } from '../../../lib/ranges.ts';
import type { ByteSource } from '../../../lib/source/byte-source.ts';

/** Passes reads on and keeps which they were. */
export function recorded<S extends ByteSource>(source: S): S & { readonly requests: ByteRange[] } {
  const requests: ByteRange[] = [];
  return {
    ...source,
    requests,
    read(range, options) {
      requests.push({ start: range.start, end: range.end });
      return source.read(range, options);
    },
  };
}
