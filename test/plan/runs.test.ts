import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Extent, ExtentJoiner } from '../../lib/format/extent.ts';
import { planParts } from '../../lib/plan/parts.ts';
import { Runs } from '../../lib/plan/runs.ts';
import { S3_LIMITS } from '../../lib/plan/s3-limits.ts';
import { GiB, KiB, MiB, TiB } from '../../lib/units.ts';

// Clusters of 1 MiB on a disk of at most 64: a run of its own is 8 of them.
const CLUSTER = MiB;
const cluster = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('zero' as const), count: fc.integer({ min: 1, max: 14 }) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('plain' as const), count: fc.integer({ min: 1, max: 14 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('compressed' as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
);
const disk = fc.record({
  stretches: fc.array(cluster, { minLength: 1, maxLength: 14 }),
  shortBy: fc.constantFrom(0, 512, CLUSTER - 512),
  /** Bytes that the file lacks of the last plain cluster. */
  cut: fc.constantFrom(0, 1024),
  unit: fc.constantFrom(1, 2).map((clusters) => clusters * CLUSTER),
});

/** What one cluster of the disk is: nothing stored, so many bytes, or one at this place of the file. */
interface Truth {
  readonly stored: number;
  readonly host?: number;
}

function laidOut({ stretches, shortBy, cut, unit }: typeof disk extends fc.Arbitrary<infer D> ? D : never) {
  const joiner = new ExtentJoiner();
  const truth: Truth[] = [];
  const count = stretches.reduce((sum, each) => sum + each.count, 0);
  const diskSize = count * CLUSTER - shortBy;
  let host = 3 * CLUSTER;
  for (const { kind, count: clusters } of stretches) {
    host += CLUSTER; // no run continues the one before
    for (let i = 0; i < clusters; i += 1) {
      const start = truth.length * CLUSTER;
      const end = Math.min(start + CLUSTER, diskSize);
      if (kind === 'zero') joiner.zero(start, end, undefined);
      if (kind === 'plain') joiner.data(start, end, host);
      if (kind === 'compressed') joiner.compressed(start, end, CLUSTER, { host, length: 1000 });
      truth.push(kind === 'zero' ? { stored: 0 } : kind === 'plain' ? { stored: end - start, host } : { stored: 1000 });
      if (kind !== 'zero') host += CLUSTER;
    }
  }
  const lastPlain = truth.findLast((each) => each.host !== undefined)?.host ?? host;
  const fileSize = lastPlain + CLUSTER - cut;
  const runs = new Runs({ diskSize, fileSize, unit });
  for (const extent of joiner.finish()) runs.add(extent);
  return { runs, truth, diskSize, fileSize };
}

describe('the runs of a disk', () => {
  it('cover it, and only what is zeros or lies in one piece is called so', () => {
    fc.assert(
      fc.property(disk, (spec) => {
        const { runs, truth, diskSize, fileSize } = laidOut(spec);
        const list = runs.list();
        expect(list.map(({ start }) => start)).toEqual([0, ...list.map(({ end }) => end).slice(0, -1)]);
        expect(list.at(-1)?.end).toBe(diskSize);
        for (const run of list) {
          if (run.kind === 'data') continue;
          expect(run.start % spec.unit).toBe(0);
          expect(run.end === diskSize || run.end % spec.unit === 0).toBe(true);
          if (run.kind === 'copy') expect(run.host + run.end - run.start).toBeLessThanOrEqual(fileSize);
          for (let at = run.start; at < run.end; at += CLUSTER) {
            const { stored, host } = truth[at / CLUSTER] as Truth;
            if (run.kind === 'zero') expect(stored).toBe(0);
            else expect(host).toBe(run.host + at - run.start);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('make parts of it that S3 takes, which copy no other bytes than the disk has', () => {
    fc.assert(
      fc.property(disk, fc.boolean(), fc.boolean(), (spec, copyParts, zeroParts) => {
        const { runs, truth, diskSize } = laidOut(spec);
        const parts = planParts(runs, { copyParts, zeroParts });
        expect(parts.map(({ start }) => start)).toEqual([0, ...parts.map(({ end }) => end).slice(0, -1)]);
        expect(parts.at(-1)?.end).toBe(diskSize);
        for (const [i, part] of parts.entries()) {
          if (i < parts.length - 1) expect(part.end - part.start).toBeGreaterThanOrEqual(S3_LIMITS.minPart);
          expect(part.start % spec.unit).toBe(0);
          for (let at = part.start; at < part.end; at += CLUSTER) {
            const { stored, host } = truth[at / CLUSTER] as Truth;
            if (part.kind === 'zero') expect(stored).toBe(0);
            if (part.kind === 'copy') expect(host).toBe(part.host + at - part.start);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('lose nothing of what is stored', () => {
    fc.assert(
      fc.property(disk, (spec) => {
        const { runs, truth } = laidOut({ ...spec, cut: 0 });
        const stored = runs.list().reduce((sum, run) => {
          if (run.kind === 'zero') return sum;
          return sum + (run.kind === 'copy' ? run.end - run.start : run.stored);
        }, 0);
        expect(stored).toBeCloseTo(
          truth.reduce((sum, each) => sum + each.stored, 0),
          3,
        );
      }),
    );
  });
});

describe('a disk as qemu-img writes it', () => {
  const plain = (start: number, end: number, host: number): Extent => ({ kind: 'data', start, end, host });

  it('costs no more than 5 MiB through us for each place where it is broken off', () => {
    // A hole of one cluster in the middle, as a file's own zeros leave them.
    const runs = new Runs({ diskSize: GiB, fileSize: 2 * GiB, unit: 64 * KiB });
    runs.add(plain(0, 512 * MiB, 0));
    runs.add({ kind: 'unallocated', start: 512 * MiB, end: 512 * MiB + 64 * KiB });
    runs.add(plain(512 * MiB + 64 * KiB, GiB, 512 * MiB));
    const parts = planParts(runs, { copyParts: true, zeroParts: true });
    expect(parts.map(({ kind, start, end }) => [kind, start, end])).toEqual([
      ['copy', 0, 512 * MiB],
      ['data', 512 * MiB, 517 * MiB],
      ['copy', 517 * MiB, GiB],
    ]);
  });

  it('takes what a part lacks from zeros rather than from what must be read', () => {
    const runs = new Runs({ diskSize: 100 * MiB, fileSize: GiB, unit: 64 * KiB });
    runs.add({ kind: 'unallocated', start: 0, end: 40 * MiB });
    runs.add({
      kind: 'compressed',
      start: 40 * MiB,
      end: 41 * MiB,
      origin: 40 * MiB,
      clusterSize: MiB,
      clusters: [{ host: 0, length: 9 }],
    });
    runs.add(plain(41 * MiB, 100 * MiB, 50 * MiB));
    const parts = planParts(runs, { copyParts: true, zeroParts: true });
    expect(parts.map(({ kind, start, end }) => [kind, start / MiB, end / MiB])).toEqual([
      ['zero', 0, 36],
      ['data', 36, 41],
      ['copy', 41, 100],
    ]);
  });

  it('is known by no more than 262,144 runs, though 48 TiB change every 8 MiB', () => {
    const runs = new Runs({ diskSize: 48 * TiB, fileSize: 2 ** 53, unit: 64 * KiB });
    for (let at = 0; at < 48 * TiB; at += 16 * MiB) {
      runs.add({ kind: 'unallocated', start: at, end: at + 8 * MiB });
      runs.add(plain(at + 8 * MiB, at + 16 * MiB, at));
    }
    expect(runs.list().length).toBeLessThanOrEqual(2 ** 18);
  });
});
