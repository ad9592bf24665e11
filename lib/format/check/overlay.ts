import type { ByteRange } from '../../ranges.ts';

/** A range that `times` of the ranges it was made from have in common. */
export interface Segment extends ByteRange {
  readonly times: number;
}

/**
 * Lays ranges over each other: ascending segments that do not overlap, each with how many of the ranges cover it. What
 * 65,536 snapshots share is then looked at once, however many of them name it.
 */
export function overlay(ranges: readonly ByteRange[]): Segment[] {
  const edges = ranges
    .filter(({ start, end }) => start < end)
    .flatMap(({ start, end }) => [
      { at: start, step: 1 },
      { at: end, step: -1 },
    ])
    .sort((a, b) => a.at - b.at);
  const segments: Segment[] = [];
  let start = 0;
  let times = 0;
  for (const { at, step } of edges) {
    if (times > 0 && at > start) segments.push({ start, end: at, times });
    start = at;
    times += step;
  }
  return segments;
}

/** No file reaches here, and further on numbers lose digits: what lies there is as good as here. */
const FAR = 2n ** 50n;

/** So many bytes from a host offset on, whatever it is. */
export function spanAt(offset: bigint, bytes: number): ByteRange {
  const start = Number(offset < FAR ? offset : FAR);
  return { start, end: start + bytes };
}
