import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Geometry } from '../../lib/format/geometry.ts';
import { SharedClusters } from '../../lib/format/shared-clusters.ts';

const CLUSTER = 512;
const GEOMETRY: Geometry = {
  version: 3,
  clusterBits: 9,
  diskSize: 2 ** 40,
  extendedL2: false,
  compression: 'deflate',
  dataFile: false,
  encrypted: false,
};
const data = (start: number, host: number, length = CLUSTER) => ({
  kind: 'data' as const,
  start,
  end: start + length,
  host,
});

/** Some clusters of a file, one after the other on the disk. */
const runs = fc.array(fc.record({ host: fc.nat(100), length: fc.integer({ min: 1, max: 70 }) }), { maxLength: 6 });

describe('clusters that are shared', () => {
  it('are noticed when they are added a second time, at the first that was there', () => {
    fc.assert(
      fc.property(runs, (extents) => {
        const shared = new SharedClusters();
        const seen = new Set<number>();
        let start = 0;
        for (const { host, length } of extents) {
          const clusters = Array.from({ length }, (_, i) => host + i);
          const known = clusters.find((each) => seen.has(each));
          const got = shared.add(0, data(start * CLUSTER, host * CLUSTER, length * CLUSTER), GEOMETRY);
          expect(got).toBe(known === undefined ? undefined : known * CLUSTER);
          for (const each of clusters) seen.add(each);
          start += length;
        }
      }),
    );
  });

  it('are not those of another layer, nor the pieces of one cluster', () => {
    const shared = new SharedClusters();
    expect(shared.add(0, data(0, 4096), GEOMETRY)).toBeUndefined();
    expect(shared.add(1, data(0, 4096), GEOMETRY)).toBeUndefined();
    expect(shared.add(1, data(CLUSTER, 8192, 100), GEOMETRY)).toBeUndefined();
    expect(shared.add(1, data(CLUSTER + 200, 8192 + 200, CLUSTER), GEOMETRY)).toBeUndefined();
    expect(shared.add(1, data(5 * CLUSTER, 8192 + CLUSTER), GEOMETRY)).toBe(8192 + CLUSTER);
  });

  it('are noticed by the sector in version 1, which aligns clusters to sectors', () => {
    const geometry: Geometry = { version: 1, clusterBits: 12, l2Bits: 9, diskSize: 2 ** 30, encrypted: false };
    const shared = new SharedClusters();
    expect(shared.add(0, data(0, 4096, 4096), geometry)).toBeUndefined();
    expect(shared.add(0, data(4096, 8192 + 512, 4096), geometry)).toBeUndefined();
    expect(shared.add(0, data(8192, 8192, 512), geometry)).toBeUndefined();
    expect(shared.add(0, data(12_288, 8192 + 512 + 3584, 512), geometry)).toBe(8192 + 512 + 3584);
  });

  it('are watched in 32 MiB of memory, wherever in the file they lie; past that they are not', () => {
    const before = process.memoryUsage().arrayBuffers;
    const shared = new SharedClusters();
    const far = (i: number) => i * 2 ** 30;
    for (let i = 0; i < 600; i += 1) expect(shared.add(0, data(i * 1024, far(i)), GEOMETRY)).toBeUndefined();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThanOrEqual(33 * 2 ** 20);
    expect(shared.add(0, data(2 ** 30, far(511)), GEOMETRY)).toBe(far(511));
    expect(shared.add(0, data(2 ** 31, far(512)), GEOMETRY)).toBeUndefined();
  });
});
