import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Qcow2Map } from '../../lib/format/extents.ts';
import { l2CoverageOf } from '../../lib/format/geometry.ts';
import type { TableSlice } from '../../lib/format/layer.ts';
import { AWS_MODEL } from '../../lib/plan/aws-model.ts';
import { type Part, planParts } from '../../lib/plan/parts.ts';
import { Runs } from '../../lib/plan/runs.ts';
import { PLAN_LIMITS } from '../../lib/plan/s3-limits.ts';
import { costOf, type PartTask, shareOut } from '../../lib/plan/shares.ts';
import { GiB, KiB, MiB, TiB } from '../../lib/units.ts';

const CELL = PLAN_LIMITS.dataPart;
/** An offset as long as one may be. */
const FAR = 5_000_000_000_512;

const GEOMETRY = {
  version: 3,
  diskSize: 2 ** 50,
  extendedL2: false,
  compression: 'deflate',
  dataFile: false,
  encrypted: false,
} as const;

/** As many L2 tables as anyone asks for: table n lies at `FAR + n * 512`. */
function mapOf(clusterBits: number): Qcow2Map {
  const l2Offsets = new Proxy([], {
    get: (_, index) => (index === 'length' ? 2 ** 40 : FAR + Number(index) * 512),
  }) as ArrayLike<number>;
  return { geometry: { ...GEOMETRY, clusterBits }, firstTable: 0, l2Offsets };
}

type Kind = readonly [kind: Part['kind'], stored: number];

function partsOf(kinds: readonly Kind[]): Part[] {
  return kinds.map(([kind, stored], i) => {
    const range = { number: i + 1, start: i * CELL, end: (i + 1) * CELL };
    if (kind === 'zero') return { kind, ...range };
    return kind === 'copy' ? { kind, ...range, host: FAR } : { kind, ...range, stored };
  });
}

/** What a worker's network and the store's copies take, one beside the other; no copy is faster for being alone. */
function secondsOf(share: readonly Part[]): number {
  const copies = share.filter(({ kind }) => kind !== 'data').map(({ start, end }) => end - start);
  const data = share.filter(({ kind }) => kind === 'data').reduce((sum, part) => sum + costOf(part), 0);
  const copied = copies.reduce((sum, length) => sum + length, 0) / PLAN_LIMITS.copiesAtOnce;
  return Math.max(
    data / AWS_MODEL.lambda.bytesPerSecond,
    Math.max(copied, ...copies) / AWS_MODEL.s3.copyBytesPerSecond,
  );
}

const jsonOf = (share: readonly PartTask[]) => JSON.stringify(share).length;
const kind = fc.tuple(fc.constantFrom<Part['kind']>('zero', 'copy', 'data'), fc.nat(CELL));

describe('dealing parts out', () => {
  it('gives each part to one worker, in the order of the disk', () => {
    const property = (kinds: Kind[], clusterBits: number) => {
      const parts = partsOf(kinds);
      const dealt = [...shareOut(parts, [mapOf(clusterBits)])];
      expect(dealt.flat().map(({ number }) => number)).toEqual(parts.map(({ number }) => number));
      expect(dealt.filter((share) => share.length === 0)).toEqual([]);
    };
    const bits = fc.constantFrom(9, 12, 16, 21);
    fc.assert(fc.property(fc.array(kind, { maxLength: 400 }), bits, property), { numRuns: 200 });
  });

  it('names the L2 tables that map the part, and no others', () => {
    const property = (kinds: Kind[], clusterBits: number) => {
      const map = mapOf(clusterBits);
      const coverage = l2CoverageOf(map.geometry);
      for (const task of [...shareOut(partsOf(kinds), [map])].flat()) {
        if (task.kind !== 'data') continue;
        const [slice] = task.slices as [TableSlice];
        expect(slice.firstTable * coverage).toBeLessThanOrEqual(task.start);
        expect((slice.firstTable + 1) * coverage).toBeGreaterThan(task.start);
        const end = (slice.firstTable + slice.l2Offsets.length) * coverage;
        expect([end - coverage < task.end, task.end <= end]).toEqual([true, true]);
        expect(slice.l2Offsets).toEqual(slice.l2Offsets.map((_, i) => FAR + (slice.firstTable + i) * 512));
      }
    };
    fc.assert(fc.property(fc.array(kind, { maxLength: 10 }), fc.constantFrom(9, 12, 16, 21), property));
  });

  it('starts at the table that a worker was given, where that is not the first', () => {
    const whole = mapOf(16);
    const parts = partsOf(Array<Kind>(20).fill(['data', CELL])).slice(16); // from 1 GiB on: table 2
    const slice: Qcow2Map = { ...whole, firstTable: 2, l2Offsets: [777, 888] };
    expect([...shareOut(parts, [slice])].flat()).toMatchObject(
      parts.map(({ number }) => ({ number, slices: [{ firstTable: 2, l2Offsets: [777] }] })),
    );
  });

  it('keeps a share below 200 KiB of JSON, however many tables map it', () => {
    // One part is so dear that by cost all others would be one share.
    const parts = partsOf([['data', 2 ** 50], ...Array<Kind>(50).fill(['data', 0])]);
    const shares = [...shareOut(parts, [mapOf(9)])];
    expect(Math.max(...shares.map(jsonOf))).toBeLessThanOrEqual(PLAN_LIMITS.maxItemJson);
    expect(shares.some((share) => share.length > 1)).toBe(true);
  });

  it('keeps a share of many small parts below it too', () => {
    const parts = partsOf([['data', 2 ** 50], ...Array<Kind>(9_999).fill(['copy', 0])]);
    const shares = [...shareOut(parts, [mapOf(16)])];
    expect(Math.max(...shares.map(jsonOf))).toBeLessThanOrEqual(PLAN_LIMITS.maxItemJson);
  });

  it('makes shares of about equal cost: 1,000 or so of a disk full of data', () => {
    const parts = partsOf(Array<Kind>(10_000).fill(['data', CELL]));
    const shares = [...shareOut(parts, [mapOf(16)])];
    expect(shares.length).toBeLessThanOrEqual(1000 + 1);
    expect(Math.max(...shares.map(({ length }) => length))).toBe(10);
  });

  it('makes a share of 128 MiB at least, copies counted as 8 MiB each', () => {
    const shares = [...shareOut(partsOf(Array<Kind>(64).fill(['copy', 0])), [mapOf(16)])];
    expect(shares.map(({ length }) => length)).toEqual([16, 16, 16, 16]);
    expect([...shareOut(partsOf(Array<Kind>(3).fill(['data', 64 * MiB])), [mapOf(16)])]).toHaveLength(3);
  });

  it('balances a disk whose data lies all in one tenth of it: no share costs a worker half as much again as the mean', () => {
    // 1 TiB: a tenth of data that compresses now better, now worse, then nothing but zeros.
    const count = (1024 * 1024 * MiB) / CELL;
    const kinds = Array.from(
      { length: count },
      (_, i): Kind => (i < count / 10 ? ['data', (0.2 + (0.6 * ((i * 7) % 10)) / 10) * CELL] : ['zero', 0]),
    );
    const costs = [...shareOut(partsOf(kinds), [mapOf(16)])].map((share) =>
      share.reduce((sum, part) => sum + costOf(part), 0),
    );
    const mean = costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
    expect(Math.max(...costs) / mean).toBeLessThan(1.5);
    expect(Math.min(...costs.slice(0, -1)) / mean).toBeGreaterThan(0.6);
    expect(costs.length).toBeGreaterThan(400);
  });

  it.each([
    [6, 3, 0],
    [8, 4, 0],
    [10, 2, 0],
    [16, 2, 0],
    [16, 6, 10],
    [20, 8, 0],
    [34, 34, 0],
    [40, 40, 0],
    [48, 0, 0],
    [48, 1, 47],
  ])(
    'gives no worker more than half of its time, by the model: %i TiB, %i of them data, %i copied',
    (size, data, copied) => {
      const runs = new Runs({ diskSize: size * TiB, fileSize: 64 * TiB, unit: 64 * KiB });
      // Pieces that are too short to be copied.
      for (let at = 0; at < data * TiB; at += GiB) {
        const clusters = [{ host: at, length: GiB }];
        runs.add({ kind: 'compressed', start: at, end: at + GiB, origin: at, clusterSize: GiB, clusters });
      }
      if (copied > 0) runs.add({ kind: 'data', start: data * TiB, end: (data + copied) * TiB, host: 0 });
      const parts = planParts(runs, { copyParts: true, zeroParts: true });
      const shares = [...shareOut(parts, [mapOf(16)])];
      expect(Math.max(...shares.map(secondsOf))).toBeLessThan(450);
    },
  );

  it('deals nothing out of nothing', () => {
    expect([...shareOut([], [mapOf(16)])]).toEqual([]);
  });
});
