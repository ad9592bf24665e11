import { describe, expect, it } from 'vitest';
import { type Extent, ExtentJoiner } from '../../lib/format/extent.ts';
import { extentBatches } from '../../lib/format/extents.ts';
import { openImage } from '../../lib/format/image.ts';
import { readL1 } from '../../lib/format/l1.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { GiB, MiB } from '../../lib/units.ts';
import { compressedEntry, deflated, type ImageSpec, imageBytes, ZERO } from '../support/hostile.ts';

/** All batches of an image's extents. */
async function batchesOf(spec: ImageSpec): Promise<Extent[][]> {
  const source = memorySource(imageBytes(spec));
  const image = await openImage(source);
  const { geometry } = image;
  const map = { geometry, firstTable: 0, l2Offsets: await readL1(image) };
  return Array.fromAsync(extentBatches(source, map, { start: 0, end: geometry.diskSize }));
}

/** 129 L1 entries that share an L2 table of 8192: one table more than are read at a time. */
const TABLES = 129;
const large = (entry: bigint, data: Uint8Array = Buffer.alloc(512)): ImageSpec => ({
  clusterBits: 16,
  size: BigInt(TABLES * 512 * MiB),
  l1: Array.from({ length: TABLES }, () => 4n << 16n),
  l2: Array.from({ length: 8192 }, () => entry),
  data: [data],
});

describe('the extents of a disk', () => {
  it('come out as one where neighbours are of one kind, however many reads of tables that took', async () => {
    expect(await batchesOf(large(ZERO))).toEqual([[{ kind: 'zero', start: 0, end: 64.5 * GiB, host: undefined }]]);
    expect(await batchesOf(large(0n))).toEqual([[{ kind: 'unallocated', start: 0, end: 64.5 * GiB }]]);
  });

  it('end with each read of tables where they are compressed, so that they do not grow with the disk', async () => {
    const stream = deflated(Buffer.alloc(65_536, 1));
    const batches = await batchesOf(large(compressedEntry(5 << 16, stream.length, 16), stream));
    expect(batches.flat().map(({ kind, start, end }) => [kind, start, end])).toEqual([
      ['compressed', 0, 64 * GiB],
      ['compressed', 64 * GiB, 64.5 * GiB],
    ]);
  });

  it('are none of a disk of 0 bytes', async () => {
    expect(await batchesOf({ size: 0n, l1: [], header: { l1TableOffset: 0 } })).toEqual([]);
  });
});

describe('joining extents', () => {
  it('takes host offsets that continue for one, and others not', () => {
    const joiner = new ExtentJoiner();
    joiner.data(0, 4, 100);
    joiner.data(4, 8, 104);
    joiner.data(8, 12, 104);
    joiner.zero(12, 16, 112);
    joiner.zero(16, 20, 116);
    joiner.zero(20, 24, undefined);
    joiner.zero(24, 28, undefined);
    expect(joiner.finish()).toEqual([
      { kind: 'data', start: 0, end: 8, host: 100 },
      { kind: 'data', start: 8, end: 12, host: 104 },
      { kind: 'zero', start: 12, end: 20, host: 112 },
      { kind: 'zero', start: 20, end: 28, host: undefined },
    ]);
    expect(joiner.finish()).toEqual([]);
  });
});
