import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Part, type PartOptions, planParts, storedIn } from '../../lib/plan/parts.ts';
import { Runs } from '../../lib/plan/runs.ts';
import { assertOutputFits, PLAN_LIMITS, S3_LIMITS } from '../../lib/plan/s3-limits.ts';
import { GiB, KiB, MiB, TiB } from '../../lib/units.ts';

const CELL = PLAN_LIMITS.dataPart;
const EVERYTHING: PartOptions = { copyParts: true, zeroParts: true };

interface Laid {
  readonly kind: 'zero' | 'plain' | 'compressed';
  readonly cells: number;
}

const sizeOf = (laid: readonly Laid[], shortBy = 0) => laid.reduce((sum, { cells }) => sum + cells, 0) * CELL - shortBy;

/** A disk out of runs of cells. Plain ones lie in one piece, not continuing the run before; `shortBy` bytes of the last cell are cut. */
function runsOf(laid: readonly Laid[], shortBy = 0): Runs {
  const diskSize = sizeOf(laid, shortBy);
  const runs = new Runs({ diskSize, fileSize: 2 ** 52, unit: 64 * KiB });
  let start = 0;
  laid.forEach(({ kind, cells: count }, i) => {
    const end = Math.min(start + count * CELL, diskSize);
    if (kind === 'zero') runs.add({ kind, start, end });
    if (kind === 'plain') runs.add({ kind: 'data', start, end, host: start + (i + 1) * MiB });
    for (let at = start; kind === 'compressed' && at < end; at += CELL) {
      const [clusterSize, clusters] = [CELL, [{ host: 0, length: 1000 }]];
      runs.add({ kind, start: at, end: Math.min(at + clusterSize, end), origin: at, clusterSize, clusters });
    }
    start += count * CELL;
  });
  return runs;
}

/** A disk that is all zeros. */
function emptyDisk(diskSize: number): Runs {
  const runs = new Runs({ diskSize, fileSize: MiB, unit: 64 * KiB });
  if (diskSize > 0) runs.add({ kind: 'unallocated', start: 0, end: diskSize });
  return runs;
}

const run = fc.record({
  kind: fc.constantFrom<Laid['kind']>('zero', 'plain', 'compressed'),
  cells: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 6000 })),
});
const disk = fc.record({
  runs: fc.array(run, { minLength: 1, maxLength: 12 }),
  shortBy: fc.constantFrom(0, 512, MiB, CELL - 512),
});
const options = fc.record({ copyParts: fc.boolean(), zeroParts: fc.boolean() });
const lengthOf = ({ start, end }: Part) => end - start;

type Disk = { readonly runs: Runs; readonly laid: readonly Laid[]; readonly diskSize: number };

const holds = (property: (disk: Disk, parts: Part[], options: PartOptions) => void) =>
  fc.assert(
    fc.property(disk, options, ({ runs: laid, shortBy }, options) => {
      const runs = runsOf(laid, shortBy);
      property({ runs, laid, diskSize: sizeOf(laid, shortBy) }, planParts(runs, options), options);
    }),
    { numRuns: 60 },
  );

describe('planning parts', () => {
  it('covers the disk exactly, by consecutive numbers from 1, 10,000 at most', () => {
    holds(({ diskSize }, parts) => {
      const ends = parts.map(({ end }) => end);
      expect(parts.map(({ start }) => start)).toEqual([0, ...ends.slice(0, -1)]);
      expect(ends.at(-1)).toBe(diskSize);
      expect(parts.map(({ number }) => number)).toEqual(parts.map((_, i) => i + 1));
      expect(parts.length).toBeLessThanOrEqual(S3_LIMITS.maxParts);
    });
  });

  it('makes no part smaller than 5 MiB but the last, and none larger than S3 takes', () => {
    holds((_, parts) => {
      expect(parts.slice(0, -1).filter((part) => lengthOf(part) < S3_LIMITS.minPart)).toEqual([]);
      expect(parts.filter((part) => lengthOf(part) > S3_LIMITS.maxPart)).toEqual([]);
    });
  });

  it('streams data parts, over 512 MiB, only where 512 MiB each would be too many', () => {
    holds(({ laid, diskSize }, parts, { copyParts, zeroParts }) => {
      if (!parts.some((part) => part.kind === 'data' && lengthOf(part) > PLAN_LIMITS.maxDataPart)) return;
      // The fewest that any plan with such parts has: of each run, and not one more where two meet.
      const needed = laid.map(({ kind, cells }) => {
        const moves = kind === 'compressed' || (kind === 'zero' ? !zeroParts : !copyParts);
        return Math.ceil((cells * CELL) / (moves ? PLAN_LIMITS.maxDataPart : S3_LIMITS.maxPart));
      });
      expect(needed.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(S3_LIMITS.maxParts);
      expect(diskSize).toBeGreaterThan(S3_LIMITS.maxParts * PLAN_LIMITS.maxDataPart);
    });
  });

  it('says of each what is stored of it, and of a copy where it lies', () => {
    holds(({ laid }, parts) => {
      const compressed = laid.filter(({ kind }) => kind === 'compressed').reduce((sum, { cells }) => sum + cells, 0);
      const plain = sizeOf(laid.filter(({ kind }) => kind === 'plain'));
      const stored = parts.reduce((sum, part) => sum + storedIn(part), 0);
      expect(Math.abs(stored - compressed * 1000 - plain)).toBeLessThanOrEqual(CELL + parts.length);
      for (const part of parts) if (part.kind === 'copy') expect((part.host - part.start) % MiB).toBe(0);
    });
  });

  it('copies only what the store can copy', () => {
    holds((_, parts, { copyParts, zeroParts }) => {
      const kinds = new Set(parts.map(({ kind }) => kind));
      expect(kinds.has('copy') && !copyParts).toBe(false);
      expect(kinds.has('zero') && !zeroParts).toBe(false);
    });
  });

  it('is a pure function: twice the same', () => {
    holds(({ runs }, parts, options) => expect(planParts(runs, options)).toEqual(parts));
  });

  it('joins zeros and copies up to 512 MiB, and makes data parts of 64 MiB', () => {
    const runs: Laid[] = [
      { kind: 'zero', cells: 9 },
      { kind: 'plain', cells: 9 },
      { kind: 'compressed', cells: 2 },
    ];
    const parts = planParts(runsOf(runs), EVERYTHING);
    expect(parts.map((part) => [part.kind, lengthOf(part) / CELL])).toEqual([
      ['zero', 8],
      ['zero', 1],
      ['copy', 8],
      ['copy', 1],
      ['data', 1],
      ['data', 1],
    ]);
  });

  it('plans nothing for a disk of 0 bytes', () => {
    expect(planParts(emptyDisk(0), EVERYTHING)).toEqual([]);
  });

  it('fits an empty disk of 48 TiB into 10,000 parts, by the smallest copies that do', () => {
    const parts = planParts(emptyDisk(48 * TiB), EVERYTHING);
    const smallest = Math.ceil((48 * TiB) / CELL / S3_LIMITS.maxParts) * CELL;
    expect(lengthOf(parts[0] as Part)).toBe(smallest);
    expect(parts).toHaveLength(Math.ceil((48 * TiB) / smallest));
  });

  it('fits the largest object into exactly 10,000 parts', () => {
    expect(planParts(emptyDisk(S3_LIMITS.maxObject), EVERYTHING)).toHaveLength(10_000);
  });

  it('doubles the parts of a disk full of data until they fit: 640,000 MiB by one cell, more by two', () => {
    const full = (cells: number) => planParts(runsOf([{ kind: 'compressed', cells }]), EVERYTHING);
    expect(full(10_000)).toHaveLength(10_000);
    expect(full(10_001)).toHaveLength(5001);
  });

  it('makes data parts of 1 GiB and more, which are streamed, once 10,000 of 512 MiB are too few', () => {
    const longest = (cells: number) => {
      const parts = planParts(runsOf([{ kind: 'compressed', cells }]), EVERYTHING);
      expect(parts.length).toBeLessThanOrEqual(S3_LIMITS.maxParts);
      return Math.max(...parts.map(lengthOf));
    };
    expect(longest(80_000)).toBe(512 * MiB);
    expect(longest(80_001)).toBe(1 * GiB);
    expect(longest(800_000)).toBe(5 * GiB);
  });

  it('takes larger data parts where that makes room for smaller copies, which are the slower ones', () => {
    // 16 TiB, of every 10 GiB one of data: cells of data alone would leave room for zeros in parts of 5 GiB only.
    const runs = Array.from({ length: 1638 }, (): Laid[] => [
      { kind: 'compressed', cells: GiB / CELL },
      { kind: 'zero', cells: (9 * GiB) / CELL },
    ]);
    const parts = planParts(runsOf(runs.flat()), EVERYTHING);
    const longest = (kind: Part['kind']) => Math.max(...parts.filter((part) => part.kind === kind).map(lengthOf));
    expect(longest('data')).toBe(512 * MiB);
    expect(longest('zero')).toBeLessThan(3 * GiB);
  });

  it('refuses a disk larger than any object', () => {
    const refusal = expect.objectContaining({ code: 'DESTINATION_LIMIT' });
    expect(() => planParts(runsOf([{ kind: 'compressed', cells: 800_001 }]), EVERYTHING)).toThrow(refusal);
  });
});

describe('the limit for raw output', () => {
  it('is held where there is one, and tells the size to the last digit', () => {
    expect(() => assertOutputFits(2 ** 62, undefined)).not.toThrow();
    expect(() => assertOutputFits(2 ** 60, S3_LIMITS.maxObject)).toThrow('1152921504606846976 bytes');
    expect(() => assertOutputFits(1024, 1024)).not.toThrow();
    expect(() => assertOutputFits(1536, 1024)).toThrow(
      expect.objectContaining({ code: 'OUTPUT_LIMIT', at: 'header.size' }),
    );
  });
});
