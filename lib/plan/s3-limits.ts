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
  /** The grain of a plan: parts are multiples of it. A multiple of every cluster size, so no two workers share a cluster. */
  cell: 64 * MiB,
  /** A data part is assembled in memory. */
  maxDataPart: 512 * MiB,
  /** A copy runs at about 50 MB/s however large it is, so many small ones are faster than a large one. */
  maxCopyPart: 512 * MiB,
  /** An item travels through a state, which holds 256 KiB, together with the job's own fields. */
  maxItemJson: 200 * KiB,
} as const;

/** @throws UnqcowError `OUTPUT_LIMIT` if the disk is larger than the configured limit or than an object may be. */
export function assertOutputFits(diskSize: number, limit: number = S3_LIMITS.maxObject): void {
  if (diskSize <= limit) return;
  const message = `the disk has ${diskSize} bytes (${formatBytes(diskSize)}), and the limit is ${formatBytes(limit)}`;
  throw new UnqcowError('OUTPUT_LIMIT', message, { at: 'header.size' });
}
