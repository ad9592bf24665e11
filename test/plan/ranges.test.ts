import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertWithin, mergeRanges, splitRange } from '../../lib/ranges.ts';

// A file of 60 bytes, not of gigabytes: limits and gaps then meet exactly often enough to catch an off-by-one.
const range = fc
  .tuple(fc.nat(50), fc.integer({ min: 1, max: 8 }))
  .map(([start, length]) => ({ start, end: start + length }));
const ranges = fc.array(range, { maxLength: 12 });
const limits = fc.record({ maxGap: fc.nat(6), maxLength: fc.integer({ min: 1, max: 20 }) });

const holds = (property: (...args: never[]) => void, ...arbitraries: fc.Arbitrary<unknown>[]) =>
  fc.assert(
    fc.property(fc.tuple(...arbitraries), (args) => property(...(args as never[]))),
    { numRuns: 1000 },
  );

type Ranges = (typeof ranges extends fc.Arbitrary<infer R> ? R : never) & object;
type Limits = (typeof limits extends fc.Arbitrary<infer L> ? L : never) & object;

describe('merging ranges', () => {
  it('covers every wanted range whole, and each once', () => {
    holds(
      (wanted: Ranges, limits: Limits) => {
        const merged = mergeRanges(wanted, limits);
        for (const { start, end, members } of merged) {
          expect(start).toBe(Math.min(...members.map((member) => member.start)));
          expect(end).toBe(Math.max(...members.map((member) => member.end)));
        }
        expect(new Set(merged.flatMap(({ members }) => members))).toEqual(new Set(wanted));
        expect(merged.flatMap(({ members }) => members)).toHaveLength(wanted.length);
      },
      ranges,
      limits,
    );
  });

  it('never fetches a gap longer than maxGap, nor joins to more than maxLength', () => {
    holds(
      (wanted: Ranges, limits: Limits) => {
        for (const { start, end, members } of mergeRanges(wanted, limits)) {
          if (members.length > 1) expect(end - start).toBeLessThanOrEqual(limits.maxLength);
          let reached = start;
          for (const member of members) {
            expect(member.start - reached).toBeLessThanOrEqual(limits.maxGap);
            reached = Math.max(reached, member.end);
          }
        }
      },
      ranges,
      limits,
    );
  });

  it('leaves no two neighbours that the limits would have let it join', () => {
    holds(
      (wanted: Ranges, limits: Limits) => {
        const merged = mergeRanges(wanted, limits);
        merged.slice(1).forEach((right, i) => {
          const left = merged[i] as (typeof merged)[number];
          const next = right.members[0] as { start: number; end: number };
          const tooFar = next.start - left.end > limits.maxGap;
          const tooLong = Math.max(left.end, next.end) - left.start > limits.maxLength;
          expect(tooFar || tooLong).toBe(true);
        });
      },
      ranges,
      limits,
    );
  });

  it('does not depend on the order in which they come, nor change them', () => {
    holds(
      (wanted: Ranges, limits: Limits) => {
        const before = structuredClone(wanted);
        const spans = mergeRanges(wanted, limits).map(({ start, end }) => [start, end]);
        expect(mergeRanges(wanted.toReversed(), limits).map(({ start, end }) => [start, end])).toEqual(spans);
        expect(wanted).toEqual(before);
      },
      ranges,
      limits,
    );
  });

  it('joins ranges that touch even if no gap is allowed', () => {
    const touching = [
      { start: 8, end: 12 },
      { start: 0, end: 8 },
    ];
    expect(mergeRanges(touching, { maxGap: 0, maxLength: 12 })).toMatchObject([{ start: 0, end: 12 }]);
    expect(mergeRanges(touching, { maxGap: 0, maxLength: 11 })).toHaveLength(2);
  });
});

describe('splitting a range', () => {
  it('leaves consecutive pieces of the length, the last one shorter', () => {
    expect(splitRange({ start: 3, end: 13 }, 4)).toEqual([
      { start: 3, end: 7 },
      { start: 7, end: 11 },
      { start: 11, end: 13 },
    ]);
    expect(splitRange({ start: 3, end: 3 }, 4)).toEqual([]);
  });
});

describe('a range of a source', () => {
  it.each([
    [0, 0],
    [0, 10],
    [10, 10],
  ])('lies within 10 bytes: [%i, %i)', (start, end) => {
    expect(() => assertWithin({ start, end }, 10)).not.toThrow();
  });

  it.each([
    [0, 11],
    [11, 11],
    [-1, 5],
    [5, 4],
    [0.5, 2],
    [0, Number.NaN],
    [2 ** 53, 2 ** 53],
    [0, Number.POSITIVE_INFINITY],
  ])('does not: [%d, %d)', (start, end) => {
    expect(() => assertWithin({ start, end }, 10)).toThrow(expect.objectContaining({ code: 'RANGE_BEYOND_SOURCE' }));
  });
});
