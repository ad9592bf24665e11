import { assemble } from '../chunk/assemble.ts';
import type { OnLost } from '../chunk/decompress.ts';
import type { Extent } from '../format/extent.ts';
import { type Geometry, isEncrypted } from '../format/geometry.ts';
import { diskBatches, type LayerMap } from '../format/layer.ts';
import { assertClear } from '../format/overlaps.ts';
import { SharedClusters } from '../format/shared-clusters.ts';
import type { Warnings } from '../format/warnings.ts';
import { Runs } from '../plan/runs.ts';
import { PLAN_LIMITS, type PlanLimits } from '../plan/s3-limits.ts';
import { splitRange } from '../ranges.ts';
import { MiB, SECTOR } from '../units.ts';
import type { OpenDisk, OpenLayer } from './open-disk.ts';

/**
 * Walks the whole map of a disk once and checks every entry, before a byte is converted. Costs few requests for the L2
 * tables. Where damage is passed over, it also decompresses all that is compressed, and gathers what is lost.
 *
 * @throws UnqcowError `METADATA_OVERLAP`; as `diskBatches` does.
 */
export async function survey(
  disk: OpenDisk,
  signal?: AbortSignal,
  { shortestRun: shortest }: Pick<PlanLimits, 'shortestRun'> = PLAN_LIMITS,
): Promise<Runs> {
  const [first] = disk.layers as [OpenLayer];
  const unit = Math.max(...disk.layers.map(({ map }) => alignmentOf(map)));
  const runs = new Runs({ diskSize: disk.size, fileSize: first.data.size, unit, shortest });
  const shared = new SharedClusters();
  for await (const { layer, extents } of diskBatches(
    disk,
    { start: 0, end: disk.size },
    { signal, warn: disk.warnings.add },
  )) {
    const { map, metadata, external, salvage } = disk.layers[layer] as OpenLayer;
    // Only the first file is where the store knows it to be; see `copy` parts.
    const copyable = layer === 0 && !external && !isEncrypted(map.geometry);
    for (const extent of extents) {
      await addLosses(disk, layer, extent, signal);
      if (!external) {
        if (metadata && !salvage) assertClear(metadata, extent);
        warnIfShared(shared, layer, extent, map.geometry, disk.warnings);
      }
      runs.add(extent, copyable);
    }
  }
  return runs;
}

/** Bytes of disk that are decompressed at a time, to see whether they can be: a multiple of every cluster size. */
const STRIDE = 8 * MiB;

async function addLosses(disk: OpenDisk, layer: number, extent: Extent, signal?: AbortSignal): Promise<void> {
  if (!disk.losses) return;
  if (extent.kind === 'lost') disk.losses.add(layer, extent);
  if (extent.kind !== 'compressed') return;
  for (const stride of splitRange(extent, STRIDE)) {
    const lost: Parameters<OnLost>[0][] = [];
    await assemble(disk, stride, { signal, lost: (each) => lost.push(each) });
    for (const each of lost.sort((a, b) => a.start - b.start)) disk.losses.add(layer, each);
  }
}

/** What its extents start and end on, in bytes. */
function alignmentOf({ geometry }: LayerMap): number {
  return 'clusterBits' in geometry ? 2 ** geometry.clusterBits : SECTOR;
}

function warnIfShared(
  shared: SharedClusters,
  layer: number,
  extent: Extent,
  geometry: Geometry,
  warnings: Warnings,
): void {
  if (extent.kind !== 'data') return;
  const host = shared.add(layer, extent, geometry);
  if (host === undefined) return;
  const message = `the cluster at ${host} is also that of an earlier place of the disk`;
  warnings.add({ code: 'SHARED_CLUSTER', message, at: `disk[${extent.start}]` });
}
