import type { Qcow1Geometry } from './qcow1/geometry.ts';

/** What an image's guest bytes are found by, whatever its format. Small enough for a job's item. */
export type Geometry = Qcow1Geometry | Qcow2Geometry | RawGeometry;

export type Compression = 'deflate' | 'zstd';

/** The sizes that turn a guest offset into an L1 index, an L2 index and an offset in a cluster. */
export interface Qcow2Geometry {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** Bytes of disk: the header's size, rounded down to 512 as QEMU does. A multiple of 512, so exact up to 2^62. */
  readonly diskSize: number;
  /** Entries of 16 bytes, which say of each 32nd of a cluster whether it is there. */
  readonly extendedL2: boolean;
  /** What compressed clusters are compressed by. */
  readonly compression: Compression;
  /** The clusters lie in another file, each at its guest offset. */
  readonly dataFile: boolean;
  /** Bytes that the file lacks would not decrypt to zeros. */
  readonly encrypted: boolean;
}

/** A file that is the disk. */
export interface RawGeometry {
  readonly version: 'raw';
  /** The file's length, which need not be a multiple of anything. */
  readonly diskSize: number;
}

/** What an image's compressed clusters are compressed by: version 1 knows deflate only. */
export const compressionOf = (geometry: Geometry): Compression =>
  'compression' in geometry ? geometry.compression : 'deflate';

/** Whether what lies plain in the file is encrypted. */
export const isEncrypted = (geometry: Geometry): boolean => 'encrypted' in geometry && geometry.encrypted;

type Tables = Pick<Qcow2Geometry, 'clusterBits' | 'extendedL2'>;

export const SUBCLUSTERS = 32;

export function l2EntryBytesOf({ extendedL2 }: Pick<Tables, 'extendedL2'>): number {
  return extendedL2 ? 16 : 8;
}

export function clusterSizeOf({ clusterBits }: { readonly clusterBits: number }): number {
  return 2 ** clusterBits;
}

/** Entries in an L2 table, which is one cluster long. */
function l2EntriesOf(geometry: Tables): number {
  return clusterSizeOf(geometry) / l2EntryBytesOf(geometry);
}

/** Guest bytes that one L2 table maps. */
export function l2CoverageOf(geometry: Tables): number {
  return clusterSizeOf(geometry) * l2EntriesOf(geometry);
}

/** How many L2 tables the disk has entries for. */
export function l2TablesOf(geometry: Qcow2Geometry): number {
  return Math.ceil(geometry.diskSize / l2CoverageOf(geometry));
}
