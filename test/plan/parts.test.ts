import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UnqcowError } from '../../lib/errors.ts';
import { Cells } from '../../lib/plan/cells.ts';
import { type Part, type PartOptions, planParts, storedIn } from '../../lib/plan/parts.ts';
import { assertOutputFits, PLAN_LIMITS, S3_LIMITS } from '../../lib/plan/s3-limits.ts';
import { GiB, KiB, MiB, TiB } from '../../lib/units.ts';

const CELL = PLAN_LIMITS.cell;
const EVERYTHING: PartOptions = { copyParts: true, zeroParts: true };

interface Run {
  readonly kind: 'zero' | 'plain' | 'compressed';
  readonly cells: number;
}

/** A disk out of runs of cells. Plain ones lie in one piece, not continuing the run before; `shortBy` bytes of the last cell are cut. */
function cellsOf(runs: readonly Run[], shortBy = 0): Cells {
  const diskSize = runs.reduce((sum, run) => sum + run.cells, 0) * CELL - shortBy;
  const cells = new Cells(diskSize, 2 ** 52, CELL);
  let start = 0;
  runs.forEach(({ kind, cells: count }, i) => {
    const end = Math.min(start + count * CELL, diskSize);
    if (kind === 'plain') cells.add({ kind: 'data', start, end, host: start + (i + 1) * MiB });
    for (let at = start; kind === 'compressed' && at < end; at += CELL) {
      const [clusterSize, clusters] = [64 * KiB, [{ host: 0, length: 1000 }]];
      cells.add({ kind, start: at, end: Math.min(at + clusterSize, end), origin: at, clusterSize, clusters });
    }
    start += count * CELL;
  });
  return cells;
}

const run = fc.record({
  kind: fc.constantFrom<Run['kind']>('zero', 'plain', 'compressed'),
  cells: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 6000 })),
});
const disk = fc.record({
  runs: fc.array(run, { minLength: 1, maxLength: 12 }),
  shortBy: fc.constantFrom(0, 512, MiB, CELL - 512),
});
const options = fc.record({ copyParts: fc.boolean(), zeroParts: fc.boolean() });
const lengthOf = ({ start, end }: Part) => end - start;

const holds = (property: (cells: Cells, parts: Part[], options: PartOptions) => void) =>
  fc.assert(
    fc.property(disk, options, ({ runs, shortBy }, options) => {
      const cells = cellsOf(runs, shortBy);
      property(cells, planParts(cells, options), options);
    }),
    { numRuns: 60 },
  );

describe('planning parts', () => {
  it('covers the disk exactly, by consecutive numbers from 1, 10,000 at most', () => {
    holds((cells, parts) => {
      const ends = parts.map(({ end }) => end);
      expect(parts.map(({ start }) => start)).toEqual([0, ...ends.slice(0, -1)]);
      expect(ends.at(-1)).toBe(cells.at(cells.count - 1).end);
      expect(parts.map(({ number }) => number)).toEqual(parts.map((_, i) => i + 1));
      expect(parts.length).toBeLessThanOrEqual(S3_LIMITS.maxParts);
    });
  });

  it('makes no part smaller than 5 MiB but the last, and none larger than S3 or memory takes', () => {
    holds((_, parts) => {
      expect(parts.slice(0, -1).filter((part) => lengthOf(part) < S3_LIMITS.minPart)).toEqual([]);
      expect(parts.filter((part) => lengthOf(part) > S3_LIMITS.maxPart)).toEqual([]);
      const data = parts.filter(({ kind }) => kind === 'data');
      expect(data.filter((part) => lengthOf(part) > PLAN_LIMITS.maxDataPart)).toEqual([]);
    });
  });

  it('says of each what its cells say', () => {
    holds((cells, parts) => {
      for (const part of parts) {
        const own = Array.from({ length: Math.ceil(lengthOf(part) / CELL) }, (_, i) => cells.at(part.start / CELL + i));
        expect(storedIn(part)).toBe(own.reduce((sum, { stored }) => sum + stored, 0));
        if (part.kind === 'copy') {
          const { host, start } = part;
          expect(own.map((cell) => cell.host)).toEqual(own.map((cell) => host + cell.start - start));
        }
      }
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
    holds((cells, parts, options) => expect(planParts(cells, options)).toEqual(parts));
  });

  it('joins zeros and copies up to 512 MiB, and leaves data a cell each', () => {
    const runs: Run[] = [
      { kind: 'zero', cells: 9 },
      { kind: 'plain', cells: 9 },
      { kind: 'compressed', cells: 2 },
    ];
    const parts = planParts(cellsOf(runs), EVERYTHING);
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
    expect(planParts(new Cells(0, 512, CELL), EVERYTHING)).toEqual([]);
  });

  it('fits an empty disk of 48 TiB into 10,000 parts, by copies of 5 GiB', () => {
    const parts = planParts(new Cells(48 * TiB, 1 * MiB, CELL), EVERYTHING);
    expect(parts).toHaveLength(Math.ceil((48 * TiB) / (5 * GiB)));
    expect(lengthOf(parts[0] as Part)).toBe(5 * GiB);
  });

  it('fits the largest object into exactly 10,000 parts', () => {
    expect(planParts(new Cells(S3_LIMITS.maxObject, MiB, CELL), EVERYTHING)).toHaveLength(10_000);
  });

  it('doubles the parts of a disk full of data until they fit: 640,000 MiB by one cell, more by two', () => {
    const full = (cells: number) => planParts(cellsOf([{ kind: 'compressed', cells }]), EVERYTHING);
    expect(full(10_000)).toHaveLength(10_000);
    expect(full(10_001)).toHaveLength(5001);
  });

  it('refuses a disk that would need data parts of more than 512 MiB', () => {
    expect(planParts(cellsOf([{ kind: 'compressed', cells: 80_000 }]), EVERYTHING)).toHaveLength(10_000);
    const refusal = expect.objectContaining({ code: 'DESTINATION_LIMIT' });
    expect(() => planParts(cellsOf([{ kind: 'compressed', cells: 80_001 }]), EVERYTHING)).toThrow(refusal);
  });
});

describe('the limit for raw output', () => {
  it('is what one object may hold, unless it is configured', () => {
    expect(() => assertOutputFits(S3_LIMITS.maxObject)).not.toThrow();
    expect(() => assertOutputFits(S3_LIMITS.maxObject + 512)).toThrow(UnqcowError);
    expect(() => assertOutputFits(1024, 1024)).not.toThrow();
    expect(() => assertOutputFits(1536, 1024)).toThrow(
      expect.objectContaining({ code: 'OUTPUT_LIMIT', at: 'header.size' }),
    );
  });
});
