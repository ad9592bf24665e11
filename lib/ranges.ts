import { UnqcowError } from './errors.ts';

/** A half-open range of bytes `[start, end)`. Ends are exclusive everywhere except in a `Range:` header. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface MergeLimits {
  /** Bytes between two ranges that are fetched and thrown away rather than asked for separately. */
  readonly maxGap: number;
  /** The longest request that joining may make, in bytes. A single range that is longer stays as it is. */
  readonly maxLength: number;
}

export interface MergedRange<R extends ByteRange> extends ByteRange {
  /** The ranges that this one covers whole, by ascending start. */
  readonly members: readonly R[];
}

/**
 * Joins ranges into few requests: sorted by start, a range joins its predecessor's request where the gap between them
 * and the length of the result stay within the limits. Every range lies whole inside one request.
 */
export function mergeRanges<R extends ByteRange>(ranges: readonly R[], limits: MergeLimits): MergedRange<R>[] {
  const sorted = [...ranges].sort((a, b) => a.start - b.start || a.end - b.end);
  const merged: { start: number; end: number; members: R[] }[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    const end = Math.max(last?.end ?? 0, range.end);
    if (last && range.start - last.end <= limits.maxGap && end - last.start <= limits.maxLength) {
      last.end = end;
      last.members.push(range);
    } else {
      merged.push({ start: range.start, end: range.end, members: [range] });
    }
  }
  return merged;
}

/** Cuts a range into consecutive pieces of `length` bytes, the last one shorter. */
export function splitRange({ start, end }: ByteRange, length: number): ByteRange[] {
  const pieces: ByteRange[] = [];
  for (let at = start; at < end; at += length) pieces.push({ start: at, end: Math.min(at + length, end) });
  return pieces;
}

/** What of a range lies within `size` bytes; at their end, and empty, if nothing does. */
export function clipped({ start, end }: ByteRange, size: number): ByteRange {
  return { start: Math.min(start, size), end: Math.min(end, size) };
}

/** @throws UnqcowError `RANGE_BEYOND_SOURCE` unless the range lies within `size` bytes. */
export function assertWithin({ start, end }: ByteRange, size: number): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= size) return;
  throw new UnqcowError('RANGE_BEYOND_SOURCE', `bytes ${start}–${end} are not within the source's ${size}`);
}
