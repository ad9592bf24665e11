import { describe, expect, it } from 'vitest';
import type { Extent } from '../../../lib/format/extent.ts';
import { assertClear } from '../../../lib/format/overlaps.ts';
import { qcow1Batches } from '../../../lib/format/qcow1/extents.ts';
import { openQcow1 } from '../../../lib/format/qcow1/image.ts';
import { type Qcow1Map, readQcow1Map } from '../../../lib/format/qcow1/l1.ts';
import { Qcow1Metadata } from '../../../lib/format/qcow1/metadata.ts';
import { memorySource } from '../../../lib/source/memory.ts';
import { layoutV1, type Qcow1Spec, qcow1Bytes } from '../../support/hostile-v1.ts';
import { refusalOf } from '../../support/images.ts';

async function opened(spec: Qcow1Spec) {
  const image = await openQcow1(memorySource(qcow1Bytes(spec)));
  return { image, held: await readQcow1Map(image), lazy: { geometry: image.geometry, image } };
}

async function extentsOf(map: Qcow1Map, source: Parameters<typeof qcow1Batches>[0]): Promise<Extent[]> {
  const whole = { start: 0, end: map.geometry.diskSize };
  return (await Array.fromAsync(qcow1Batches(source, map, whole))).flat();
}

describe('extents of a version 1 disk', () => {
  it('go on where a window of the L1 table ends', async () => {
    const entries = 2 ** 17 + 2; // 1 MiB of L1 table, and 16 bytes
    const spec: Qcow1Spec = { clusterBits: 9, l2Bits: 6, size: BigInt(entries) * 2n ** 15n };
    const { l2, data } = layoutV1(spec);
    const l1 = Array<bigint>(entries).fill(0n);
    l1[2 ** 17 - 1] = BigInt(l2);
    l1[2 ** 17] = BigInt(l2);
    const { image, held, lazy } = await opened({ ...spec, l1 });
    const expected = [
      { kind: 'unallocated', start: 0, end: 2 ** 32 - 2 ** 15 },
      { kind: 'data', start: 2 ** 32 - 2 ** 15, end: 2 ** 32 - 2 ** 15 + 1024, host: data },
      { kind: 'unallocated', start: 2 ** 32 - 2 ** 15 + 1024, end: 2 ** 32 },
      { kind: 'data', start: 2 ** 32, end: 2 ** 32 + 1024, host: data },
      { kind: 'unallocated', start: 2 ** 32 + 1024, end: 2 ** 32 + 2 ** 16 },
    ];
    expect(await extentsOf(held, image.source)).toEqual(expected);
    expect(await extentsOf(lazy, image.source)).toEqual(expected);
  });

  it('go on where a window of L2 tables ends', async () => {
    const tables = 300; // of 64 KiB: two windows and a part of one
    const spec: Qcow1Spec = { clusterBits: 9, l2Bits: 13, size: BigInt(tables) * 2n ** 22n };
    const { l2, data } = layoutV1(spec);
    const { image, held } = await opened({ ...spec, l1: Array(tables).fill(BigInt(l2)) });
    const extents = await extentsOf(held, image.source);
    expect(extents).toHaveLength(2 * tables);
    extents.forEach((extent, i) => {
      const [base, isData] = [Math.floor(i / 2) * 2 ** 22, i % 2 === 0];
      const start = isData ? base : base + 1024;
      expect(extent).toMatchObject({ kind: isData ? 'data' : 'unallocated', start, ...(isData ? { host: data } : {}) });
    });
  });

  it('join over a window where they continue', async () => {
    const size = 2n ** 22n * 140n;
    const tables = Array.from({ length: 140 }, (_, i) => BigInt(2 ** 16 * (i + 1)));
    const { image, held } = await opened({
      clusterBits: 9,
      l2Bits: 13,
      size,
      l1: tables,
      data: [],
      fileSize: 2 ** 16 * 141,
    });
    expect(await extentsOf(held, image.source)).toEqual([{ kind: 'unallocated', start: 0, end: Number(size) }]);
  });
});

describe('where a version 1 image keeps its own structures', () => {
  const at = (host: number, length = 512) => ({ kind: 'data' as const, start: 0, end: length, host });
  const codeOf = async (metadata: Qcow1Metadata, host: number) =>
    (await refusalOf((async () => assertClear(metadata, at(host)))()))?.message.match(/lies on the (.*) at/)?.[1];

  it('is known to the byte', async () => {
    const l1 = [0x1008n, 0n, 0x4000n, 0x3000n];
    const { image } = await opened({ backing: 'base.raw', size: 0x600200n, l1, fileSize: 0x8000 });
    const metadata = new Qcow1Metadata(image, l1.map(Number));
    const found = async (host: number) => codeOf(metadata, host);
    expect(await found(0)).toBe('header');
    expect(await found(47)).toBe('header');
    expect(await found(48)).toBe("backing file's name");
    expect(await found(56)).toBe('L1 table');
    expect(await found(87)).toBe('L1 table');
    expect(await found(88)).toBeUndefined();
    expect(await found(0x1008 - 512)).toBeUndefined();
    expect(await found(0x1008 - 511)).toBe('L2 table');
    expect(await found(0x2007)).toBe('L2 table');
    expect(await found(0x2008)).toBeUndefined();
    expect(await found(0x3007)).toBe('L2 table'); // of the last table one entry is needed
    expect(await found(0x3008)).toBeUndefined();
    expect(await found(0x4fff)).toBe('L2 table');
    expect(await found(0x5000)).toBeUndefined();
  });

  it('is known but for the L2 tables without a list of them', async () => {
    const { image } = await opened({});
    const metadata = new Qcow1Metadata(image);
    expect(await codeOf(metadata, 0)).toBe('header');
    expect(await codeOf(metadata, 0x1000)).toBeUndefined();
  });
});
