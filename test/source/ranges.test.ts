import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertWithin, mergeRanges, splitRange } from '../../lib/ranges.ts';
import { someLimits, someRange, someRanges } from './support/tiny-world.ts';

describe('merging ranges', () => {
  const merged = (
    check: (requests: ReturnType<typeof mergeRanges>, limits: { maxGap: number; maxLength: number }) => void,
  ) =>
    fc.assert(
      fc.property(someRanges, someLimits, (ranges, limits) => check(mergeRanges(ranges, limits), limits)),
      { numRuns: 2_000 },
    );

  it('covers every wanted range whole, once', () => {
    fc.assert(
      fc.property(someRanges, someLimits, (ranges, limits) => {
        const requests = mergeRanges(ranges, limits);
        const members = requests.flatMap((request) => request.members);
        expect(new Set(members)).toEqual(new Set(ranges));
        expect(members).toHaveLength(ranges.length);
        for (const { start, end, members } of requests) {
          for (const member of members) expect(start <= member.start && member.end <= end).toBe(true);
        }
      }),
    );
  });

  it('asks for nothing before the first or after the last range that a request is for', () =>
    merged((requests) => {
      for (const { start, end, members } of requests) {
        expect(start).toBe(Math.min(...members.map((member) => member.start)));
        expect(end).toBe(Math.max(...members.map((member) => member.end)));
      }
    }));

  it('never fetches a gap longer than maxGap', () =>
    merged((requests, { maxGap }) => {
      for (const { start, members } of requests) {
        let covered = start;
        for (const member of members) {
          expect(member.start - covered).toBeLessThanOrEqual(maxGap);
          covered = Math.max(covered, member.end);
        }
      }
    }));

  it('never makes a request longer than maxLength, unless one range is', () =>
    merged((requests, { maxLength }) => {
      for (const { start, end, members } of requests) {
        if (members.length > 1) expect(end - start).toBeLessThanOrEqual(maxLength);
      }
    }));

  it('leaves no two neighbours that the limits would have let it join', () =>
    merged((requests, { maxGap, maxLength }) => {
      for (const [i, right] of requests.entries()) {
        const left = requests[i - 1];
        const first = right.members[0];
        if (!left || !first) continue;
        const length = Math.max(left.end, first.end) - left.start;
        expect(first.start - left.end > maxGap || length > maxLength).toBe(true);
      }
    }));

  it('gives requests and their members by ascending start, and leaves what it was given as it was', () => {
    fc.assert(
      fc.property(someRanges, someLimits, (ranges, limits) => {
        const before = [...ranges];
        const starts = mergeRanges(ranges, limits).flatMap(({ members }) => members.map(({ start }) => start));
        expect(starts).toEqual([...starts].sort((a, b) => a - b));
        expect(ranges).toEqual(before);
      }),
    );
  });

  it('of none makes none', () => {
    expect(mergeRanges([], { maxGap: 8, maxLength: 8 })).toEqual([]);
  });

  it.each([
    [
      'a gap of maxGap',
      [
        { start: 0, end: 4 },
        { start: 8, end: 10 },
      ],
      { maxGap: 4, maxLength: 10 },
      1,
    ],
    [
      'a gap one longer',
      [
        { start: 0, end: 4 },
        { start: 9, end: 10 },
      ],
      { maxGap: 4, maxLength: 10 },
      2,
    ],
    [
      'a request of maxLength',
      [
        { start: 0, end: 4 },
        { start: 4, end: 10 },
      ],
      { maxGap: 4, maxLength: 10 },
      1,
    ],
    [
      'a request one longer',
      [
        { start: 0, end: 4 },
        { start: 4, end: 11 },
      ],
      { maxGap: 4, maxLength: 10 },
      2,
    ],
    [
      'a range inside another',
      [
        { start: 0, end: 9 },
        { start: 2, end: 3 },
      ],
      { maxGap: 0, maxLength: 10 },
      1,
    ],
  ])('with %s', (_, ranges, limits, requests) => {
    expect(mergeRanges(ranges, limits)).toHaveLength(requests);
  });
});

describe('splitting a range', () => {
  it('gives pieces that follow one another, all of that length but the last', () => {
    fc.assert(
      fc.property(someRange, fc.integer({ min: 1, max: 12 }), (range, length) => {
        const pieces = splitRange(range, length);
        expect(pieces[0]?.start).toBe(range.start);
        expect(pieces.at(-1)?.end).toBe(range.end);
        for (const [i, piece] of pieces.entries()) {
          if (i > 0) expect(piece.start).toBe(pieces[i - 1]?.end);
          if (i < pieces.length - 1) expect(piece.end - piece.start).toBe(length);
          expect(piece.end).toBeGreaterThan(piece.start);
        }
      }),
    );
  });

  it('of no bytes gives no pieces', () => {
    expect(splitRange({ start: 7, end: 7 }, 4)).toEqual([]);
  });
});

describe('a range within a source of 60 bytes', () => {
  it.each([
    [0, 0],
    [0, 60],
    [59, 60],
    [60, 60],
  ])('may be %i–%i', (start, end) => {
    expect(() => assertWithin({ start, end }, 60)).not.toThrow();
  });

  it.each([
    [0, 61],
    [60, 61],
    [-1, 5],
    [5, 4],
    [0.5, 2],
    [0, 1.5],
    [Number.NaN, 1],
    [0, Number.NaN],
    [0, Infinity],
    [61, 61],
  ])('is not %d–%d', (start, end) => {
    expect(() => assertWithin({ start, end }, 60)).toThrow(expect.objectContaining({ code: 'RANGE_BEYOND_SOURCE' }));
  });
});
