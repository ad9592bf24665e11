import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Extent, ExtentJoiner } from '../../lib/format/extent.ts';
import { planReads } from '../../lib/plan/reads.ts';
import { KiB, MiB } from '../../lib/units.ts';

// A disk of 15 clusters of 4 bytes, in a file of 64 bytes. Byte n of the file is n, so each byte tells where it came from.
const CLUSTER = 4;
const FILE_SIZE = 64;

type Cluster =
  | { readonly kind: 'unallocated' | 'zero' }
  | { readonly kind: 'data'; readonly host: number }
  | { readonly kind: 'compressed'; readonly host: number; readonly length: number };

const cluster: fc.Arbitrary<Cluster> = fc.oneof(
  fc.constant({ kind: 'unallocated' } as const),
  fc.constant({ kind: 'zero' } as const),
  { weight: 3, arbitrary: fc.nat(15).map((at) => ({ kind: 'data' as const, host: at * CLUSTER })) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('compressed' as const),
      host: fc.nat(50),
      length: fc.integer({ min: 1, max: 14 }),
    }),
  },
);

const world = fc
  .record({
    clusters: fc.array(cluster, { minLength: 1, maxLength: 15 }),
    /** The disk may end inside its last cluster, and the file inside a cluster of data. */
    shortBy: fc.nat(CLUSTER - 1),
    fileSize: fc.integer({ min: FILE_SIZE - CLUSTER + 1, max: FILE_SIZE }),
    from: fc.nat(14),
    to: fc.nat(15),
    limits: fc.record({ maxGap: fc.nat(8), maxLength: fc.integer({ min: 1, max: 24 }) }),
  })
  .map(({ clusters, shortBy, fileSize, from, to, limits }) => {
    const diskSize = clusters.length * CLUSTER - shortBy;
    const start = Math.min(from, clusters.length - 1) * CLUSTER;
    const end = Math.min(Math.max(start + CLUSTER, to * CLUSTER), diskSize);
    return { clusters, diskSize, fileSize, part: { start, end }, limits };
  });
type World = typeof world extends fc.Arbitrary<infer W> ? W : never;

function extentsOf({ clusters, diskSize }: World): Extent[] {
  const joiner = new ExtentJoiner();
  clusters.forEach((each, i) => {
    const [start, end] = [i * CLUSTER, Math.min((i + 1) * CLUSTER, diskSize)];
    if (each.kind === 'unallocated') joiner.unallocated(start, end);
    if (each.kind === 'zero') joiner.zero(start, end, undefined);
    if (each.kind === 'data') joiner.data(start, end, each.host);
    if (each.kind === 'compressed') joiner.compressed(start, end, CLUSTER, { host: each.host, length: each.length });
  });
  return joiner.finish();
}

/** What each byte of the part must come from: a byte of the file, a stream, or nothing. */
function wanted({ clusters, part, fileSize }: World): string[] {
  return Array.from({ length: part.end - part.start }, (_, i) => {
    const guest = part.start + i;
    const each = clusters[Math.floor(guest / CLUSTER)] as Cluster;
    if (each.kind === 'compressed') return `stream ${each.host}+${each.length} byte ${guest % CLUSTER}`;
    const host = each.kind === 'data' ? each.host + (guest % CLUSTER) : fileSize;
    return host < fileSize ? `byte ${host}` : 'zero';
  });
}

function planned(world: World) {
  return planReads(extentsOf(world), world.part, world.fileSize, world.limits);
}

const holds = (property: (world: World) => void) => fc.assert(fc.property(world, property), { numRuns: 2000 });

describe('planning the reads of a part', () => {
  it('brings every byte of the part from where it lies, once, and no other', () => {
    holds((world) => {
      const got = Array<string>(world.part.end - world.part.start).fill('zero');
      for (const { kind, start, end, at, length } of planned(world).flatMap(({ members }) => members)) {
        for (let i = 0; i < length; i += 1) {
          expect(got[at + i]).toBe('zero');
          got[at + i] = kind === 'plain' ? `byte ${start + i}` : `stream ${start}+${end - start} byte ${i}`;
        }
      }
      expect(got).toEqual(wanted(world));
    });
  });

  it('asks for no plain byte that the file does not have', () => {
    holds((world) => {
      const plain = planned(world).flatMap(({ members }) => members.filter(({ kind }) => kind === 'plain'));
      for (const { start, end, length } of plain) {
        expect(end).toBeLessThanOrEqual(world.fileSize);
        expect(end - start).toBe(length);
      }
    });
  });

  it('keeps requests within the limits, but for a stream that is longer by itself', () => {
    holds((world) => {
      for (const { start, end, members } of planned(world)) {
        if (members.length > 1 || members[0]?.kind === 'plain') {
          expect(end - start).toBeLessThanOrEqual(world.limits.maxLength);
        }
      }
    });
  });

  it('is one request for 8 MiB of neighbours, two for more, and none for zeros', () => {
    const requests = (extent: Extent) =>
      planReads([extent], { start: 0, end: extent.end }, 100 * MiB).map(({ start, end }) => [start, end]);
    expect(requests({ kind: 'data', start: 0, end: 8 * MiB, host: MiB })).toEqual([[MiB, 9 * MiB]]);
    expect(requests({ kind: 'data', start: 0, end: 8 * MiB + 512, host: 0 })).toHaveLength(2);
    expect(requests({ kind: 'zero', start: 0, end: 64 * MiB, host: 5 * MiB })).toEqual([]);
    expect(requests({ kind: 'unallocated', start: 0, end: 64 * MiB })).toEqual([]);
  });

  it('reads over a gap of 32 KiB rather than ask twice', () => {
    const clusters = (gap: number): Extent[] => [
      { kind: 'data', start: 0, end: 64 * KiB, host: MiB },
      { kind: 'data', start: 64 * KiB, end: 128 * KiB, host: MiB + 64 * KiB + gap },
    ];
    const requests = (gap: number) => planReads(clusters(gap), { start: 0, end: 128 * KiB }, 100 * MiB);
    expect(requests(32 * KiB)).toHaveLength(1);
    expect(requests(32 * KiB + 512)).toHaveLength(2);
  });
});
