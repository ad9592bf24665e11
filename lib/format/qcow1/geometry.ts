import { MiB } from '../../units.ts';

/** The sizes that turn a guest offset into an L1 index, an L2 index and an offset in a cluster. Small enough for a job's item. */
export interface Qcow1Geometry {
  readonly version: 1;
  readonly clusterBits: number;
  /** An L2 table has 2^l2Bits entries: its length does not follow from the cluster's. */
  readonly l2Bits: number;
  /** Bytes of disk: the header's size, rounded down to 512 as QEMU does. A multiple of 512, so exact up to 2^62. */
  readonly diskSize: number;
  /** Bytes that the file lacks would not decrypt to zeros. */
  readonly encrypted: boolean;
}

type Bits = Pick<Qcow1Geometry, 'clusterBits' | 'l2Bits'>;
type Disk = Bits & Pick<Qcow1Geometry, 'diskSize'>;

export const L2_ENTRY_BYTES = 8;

/** A longer L1 table is not held in memory. What QEMU lets version 2 have: 8 TiB of disk by version 1's usual sizes. */
export const MAX_HELD_L1_BYTES = 32 * MiB;

/** Length of an L2 table, in bytes. */
export function l2BytesOf({ l2Bits }: Pick<Bits, 'l2Bits'>): number {
  return 2 ** l2Bits * L2_ENTRY_BYTES;
}

/** Guest bytes that one L2 table maps. */
export function l2CoverageOf({ clusterBits, l2Bits }: Bits): number {
  return 2 ** (clusterBits + l2Bits);
}

/** How many L2 tables the disk needs, and so L1 entries. */
export function l2TablesOf(geometry: Disk): number {
  return Math.ceil(geometry.diskSize / l2CoverageOf(geometry));
}

/** How many bytes of the table with this L1 index the disk needs: the last one may be cut off after them. */
export function l2BytesNeeded(geometry: Disk, index: number): number {
  const coverage = l2CoverageOf(geometry);
  const guest = Math.min(coverage, geometry.diskSize - index * coverage);
  return Math.ceil(guest / 2 ** geometry.clusterBits) * L2_ENTRY_BYTES;
}

/** How many L1 entries there are: the header does not say, it follows from the size before that is rounded. */
export function l1EntriesOf({ size, ...bits }: Bits & { readonly size: bigint }): number {
  const coverage = BigInt(l2CoverageOf(bits));
  return Number((size + coverage - 1n) / coverage);
}

export function diskSizeOf({ size }: { readonly size: bigint }): number {
  return Number(size - (size % 512n));
}
