import { UnqcowError } from '../errors.ts';
import { clusterSizeOf, l2CoverageOf, l2EntryBytesOf, l2TablesOf, type Qcow2Geometry } from './geometry.ts';
import type { Image } from './image.ts';
import { viewOf } from './struct.ts';

/** Which L1 table, and of how large a disk. */
export interface L1Location {
  readonly offset: number;
  readonly diskSize: number;
}

export function activeL1({ header, geometry }: Image): L1Location {
  return { offset: Number(header.l1TableOffset), diskSize: geometry.diskSize };
}

/**
 * Reads the L1 entries that the disk needs, and no more: one read. Returns where each L2 table lies, as a host offset;
 * 0 is an L2 table that does not exist.
 *
 * @throws UnqcowError `L2_UNALIGNED`, `L2_BEYOND_EOF` at `l1[i]`.
 * @see qcow2.rst § Cluster mapping, L1 table entry
 */
export async function readL1(
  image: Image,
  signal?: AbortSignal,
  { offset: start, diskSize }: L1Location = activeL1(image),
): Promise<Float64Array> {
  const { source } = image;
  const geometry = { ...image.geometry, diskSize };
  const offsets = new Float64Array(l2TablesOf(geometry));
  if (offsets.length === 0) return offsets;
  const view = viewOf(await source.read({ start, end: start + offsets.length * 8 }, { signal }));
  for (let i = 0; i < offsets.length; i += 1) {
    const hi = view.getUint32(i * 8);
    const lo = view.getUint32(i * 8 + 4);
    if ((hi & 0x7f000000) !== 0 || (lo & 0x1ff) !== 0) {
      image.warnings.add({ code: 'L1E_RESERVED_BITS', message: 'reserved bits are set', at: `l1[${i}]` });
    }
    const offset = (hi & 0x00ffffff) * 2 ** 32 + ((lo & 0xfffffe00) >>> 0);
    if (offset !== 0) checkTable(geometry, source.size, i, offset);
    offsets[i] = offset;
  }
  return offsets;
}

/** An L2 table may be cut off by the end of the file after the entries that the disk needs, but not before. */
function checkTable(geometry: Qcow2Geometry, fileSize: number, index: number, offset: number): void {
  if (offset % clusterSizeOf(geometry) !== 0) {
    throw new UnqcowError('L2_UNALIGNED', `the L2 table at ${offset} does not start on a cluster`, {
      at: `l1[${index}]`,
    });
  }
  const guest = Math.min(l2CoverageOf(geometry), geometry.diskSize - index * l2CoverageOf(geometry));
  const needed = Math.ceil(guest / clusterSizeOf(geometry)) * l2EntryBytesOf(geometry);
  if (offset + needed > fileSize) {
    throw new UnqcowError('L2_BEYOND_EOF', `the L2 table at ${offset} runs past the file's ${fileSize} bytes`, {
      at: `l1[${index}]`,
    });
  }
}
