import { compressionOf } from '../format/geometry.ts';
import { type Estimate, estimate, estimateWhole } from '../plan/estimate.ts';
import { type PartOptions, planParts, storedIn } from '../plan/parts.ts';
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
  if (disk.size <= PLAN_LIMITS.wholeDisk) {
    const stored = parts.reduce((sum, part) => sum + storedIn(part), 0);
    return estimateWhole({ ...workOf(disk, options), stored });
  }
  const maps = disk.layers.map(({ map }) => map);
  return estimateShares(disk, [...shareOut(parts, maps)], options);
}

/** The same for shares that are made already. */
export function estimateShares(
  disk: OpenDisk,
  shares: readonly (readonly PartTask[])[],
  options: Pick<EstimateOptions, 'maxConcurrency' | 'read'>,
): Estimate {
  return estimate({ ...workOf(disk, options), shares, workers: options.maxConcurrency });
}

function workOf(disk: OpenDisk, { read }: Pick<EstimateOptions, 'read'>) {
  const hasZstd = disk.layers.some(({ map }) => compressionOf(map.geometry) === 'zstd');
  return {
    diskSize: disk.size,
    planned: { ...read },
    compression: hasZstd ? ('zstd' as const) : ('deflate' as const),
    memory: PLAN_LIMITS.workerMemory,
  };
}
