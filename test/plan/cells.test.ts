import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExtentJoiner } from '../../lib/format/extent.ts';
import { Cells } from '../../lib/plan/cells.ts';

// Cells of 8 bytes over clusters of 2, on a disk of at most 40 bytes in a file of 48.
const [CLUSTER, CELL, FILE_SIZE] = [2, 8, 48];
const cluster = fc.oneof(
  fc.constant({ kind: 'zero' as const }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('data' as const), jump: fc.boolean() }) },
  fc.record({ kind: fc.constant('compressed' as const), length: fc.integer({ min: 1, max: 5 }) }),
);

describe('the cells of a disk', () => {
  it('say of each what is stored of it, and where, if it lies there plain and in one piece', () => {
    const property = (
      kinds: { kind: string; jump?: boolean; length?: number }[],
      shortBy: number,
      cut: number,
      first: number,
    ) => {
      const diskSize = kinds.length * CLUSTER - shortBy;
      const fileSize = FILE_SIZE - cut;
      const joiner = new ExtentJoiner();
      let host = first * CLUSTER;
      const stored: number[] = [];
      const shifts: Set<number | undefined>[] = [];
      kinds.forEach(({ kind, jump = false, length = 0 }, i) => {
        const [start, end] = [i * CLUSTER, Math.min((i + 1) * CLUSTER, diskSize)];
        const cell = Math.floor(start / CELL);
        shifts[cell] ??= new Set();
        stored[cell] ??= 0;
        host = (host + (jump ? 2 : 1) * CLUSTER) % FILE_SIZE;
        if (kind === 'zero') joiner.zero(start, end, undefined);
        if (kind === 'data') joiner.data(start, end, host);
        if (kind === 'compressed') joiner.compressed(start, end, CLUSTER, { host, length });
        stored[cell] += kind === 'data' ? end - start : length;
        shifts[cell].add(kind === 'data' && host + end - start <= fileSize ? host - start : undefined);
      });
      const cells = new Cells(diskSize, fileSize, CELL);
      joiner.finish().forEach((extent) => {
        cells.add(extent);
      });
      expect(cells.count).toBe(stored.length);
      stored.forEach((bytes, index) => {
        const [start, end] = [index * CELL, Math.min((index + 1) * CELL, diskSize)];
        const [shift, ...others] = shifts[index] ?? [];
        const where = others.length === 0 && shift !== undefined ? start + shift : undefined;
        expect(cells.at(index)).toEqual({ start, end, stored: bytes, host: where });
      });
    };
    const kinds = fc.array(cluster, { minLength: 1, maxLength: 20 });
    fc.assert(fc.property(kinds, fc.nat(CLUSTER - 1), fc.nat(CLUSTER - 1), fc.nat(23), property), { numRuns: 2000 });
  });
});
