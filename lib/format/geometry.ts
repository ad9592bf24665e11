/** The sizes that turn a guest offset into an L1 index, an L2 index and an offset in a cluster. Small enough for a job's item. */
export interface Geometry {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** Bytes of disk: the header's size, rounded down to 512 as QEMU does. A multiple of 512, so exact up to 2^62. */
  readonly diskSize: number;
}

export const L2_ENTRY_BYTES = 8;

export function clusterSizeOf({ clusterBits }: Pick<Geometry, 'clusterBits'>): number {
  return 2 ** clusterBits;
}

/** Entries in an L2 table, which is one cluster long. */
export function l2EntriesOf({ clusterBits }: Pick<Geometry, 'clusterBits'>): number {
  return 2 ** clusterBits / L2_ENTRY_BYTES;
}

/** Guest bytes that one L2 table maps. */
export function l2CoverageOf(geometry: Pick<Geometry, 'clusterBits'>): number {
  return clusterSizeOf(geometry) * l2EntriesOf(geometry);
}

/** How many L2 tables the disk has entries for. */
export function l2TablesOf(geometry: Geometry): number {
  return Math.ceil(geometry.diskSize / l2CoverageOf(geometry));
}
