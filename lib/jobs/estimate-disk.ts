import { compressionOf } from '../format/geometry.ts';
import { type Estimate, estimate } from '../plan/estimate.ts';
import { type PartOptions, planParts } from '../plan/parts.ts';
import { PLAN_LIMITS } from '../plan/s3-limits.ts';
import { type PartTask, shareOut } from '../plan/shares.ts';
import type { Cost } from './conversion.ts';
import type { OpenDisk } from './open-disk.ts';
import { survey } from './survey.ts';

export interface EstimateOptions extends PartOptions {
  /** Workers at once. */
  readonly maxConcurrency: number;
  /** What has been read of the disk's files so far; looked at after the survey. */
  readonly read: Cost;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Forecasts what converting a disk on AWS takes, from the plan alone: no guest data is read. Costs what planning does.
 *
 * @throws UnqcowError as `survey` and `planParts` do.
 */
export async function estimateDisk(disk: OpenDisk, options: EstimateOptions): Promise<Estimate> {
  const parts = planParts(await survey(disk, options.signal), options);
  const maps = disk.layers.map(({ map }) => map);
  const shares = disk.size <= PLAN_LIMITS.wholeDisk ? [parts] : [...shareOut(parts, maps)];
  return estimateShares(disk, shares as PartTask[][], options);
}

/** The same for shares that are made already. */
export function estimateShares(
  disk: OpenDisk,
  shares: readonly (readonly PartTask[])[],
  { maxConcurrency: workers, read }: Pick<EstimateOptions, 'maxConcurrency' | 'read'>,
): Estimate {
  const hasZstd = disk.layers.some(({ map }) => compressionOf(map.geometry) === 'zstd');
  return estimate({
    diskSize: disk.size,
    planned: { ...read },
    shares,
    compression: hasZstd ? 'zstd' : 'deflate',
    workers,
    memory: PLAN_LIMITS.workerMemory,
  });
}
