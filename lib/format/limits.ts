import { MiB } from '../units.ts';

/** What QEMU accepts; an image outside of it cannot have been written by it. */
export const FORMAT_LIMITS = {
  minClusterBits: 9,
  maxClusterBits: 21,
  /** Extended L2 splits a cluster into 32; a subcluster is at least 512 bytes. */
  minClusterBitsExtendedL2: 14,
  maxL1Bytes: 32 * MiB,
  maxRefcountTableBytes: 8 * MiB,
  maxRefcountOrder: 6,
  maxSnapshots: 65_536,
  maxBitmaps: 65_535,
  maxBitmapDirectoryBytes: 67_107_840,
  /** Offsets in L1 and L2 entries have 56 bits; where tables lie may be up to this. */
  maxOffset: 2n ** 63n - 1n,
  /** QEMU reads no byte of a file past this. */
  maxRead: 2n ** 63n - 2n ** 30n,
} as const;

/** Bytes, whatever the cluster would hold. */
export const BACKING_NAME_LIMIT = 1023;
