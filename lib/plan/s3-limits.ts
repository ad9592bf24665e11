import { UnqcowError } from '../errors.ts';
import { formatBytes, GiB, KiB, MiB } from '../units.ts';

/** What S3 takes, from its documentation; every store that speaks S3 keeps to it or is wider. */
export const S3_LIMITS = {
  maxParts: 10_000,
  /** The last part may be smaller. */
  minPart: 5 * MiB,
  maxPart: 5 * GiB,
  maxObject: 10_000 * 5 * GiB,
  /** A range is copied only out of objects larger than this. */
  minCopySource: 5 * MiB,
} as const;

/** What we add to it. */
export const PLAN_LIMITS = {
  /** A disk up to this size is one Lambda's work. */
  wholeDisk: 256 * MiB,
  /** Of such a disk; one that is no longer goes in a single request. */
  wholePart: 16 * MiB,
  /** Zeros, and plain pieces of the image, that are at least this long get parts of their own. */
  shortestRun: 8 * MiB,
  /** A data part's usual length: several are assembled in memory at the same time. */
  dataPart: 64 * MiB,
  /** The longest that is assembled in memory; longer ones are streamed. */
  maxDataPart: 512 * MiB,
  /** A copy runs at about 50 MB/s however large it is, so many small ones are faster than a large one. */
  maxCopyPart: 512 * MiB,
  /** Of the Lambda that converts: one core, and room for four parts in the making and one more of 512 MiB. */
  workerMemory: 1769 * MiB,
  /** Data parts of one worker in the making at once, as far as its memory goes. */
  partsAtOnce: 4,
  /** Parts of one worker that the store copies at once, beside those: they take its time and no memory of ours. */
  copiesAtOnce: 16,
  /**
   * Bytes through one worker, over which its share gets no further part: 275 s of its 895 by the cost model, for stores and
   * networks that are slower than it takes them for.
   */
  maxShare: 20 * GiB,
  /** An item travels through a state, which holds 256 KiB, together with the job's own fields. */
  maxItemJson: 200 * KiB,
} as const;

/** Those that a small world may set lower; parts must stay within S3's limits. */
export type PlanLimits = { readonly [name in 'wholeDisk' | 'dataPart' | 'maxCopyPart' | 'shortestRun']: number };

/** @throws UnqcowError `OUTPUT_LIMIT` if the disk is larger than the limit, where there is one. */
export function assertOutputFits(diskSize: number, limit: number | undefined): void {
  if (limit === undefined || diskSize <= limit) return;
  const message = `the disk has ${BigInt(diskSize)} bytes (${formatBytes(diskSize)}), and the limit is ${formatBytes(limit)}`;
  throw new UnqcowError('OUTPUT_LIMIT', message, { at: 'header.size' });
}
