import { diskBatches } from '../format/layer.ts';
import { Cells } from '../plan/cells.ts';
import { PLAN_LIMITS } from '../plan/s3-limits.ts';
import type { OpenDisk, OpenLayer } from './open-disk.ts';

/**
 * Walks the whole map of a disk once and checks every entry, before a byte is converted. Costs few requests for the L2
 * tables.
 *
 * @throws UnqcowError `METADATA_OVERLAP`; as `diskBatches` does.
 */
export async function survey(disk: OpenDisk, signal?: AbortSignal): Promise<Cells> {
  const [first] = disk.layers as [OpenLayer];
  const cells = new Cells(disk.size, first.data.size, PLAN_LIMITS.cell);
  for await (const { layer, extents } of diskBatches(
    disk,
    { start: 0, end: disk.size },
    { signal, warn: disk.warnings.add },
  )) {
    const { metadata, plain, external } = disk.layers[layer] as OpenLayer;
    // Only the first file is where the store knows it to be; see `copy` parts.
    const copyable = layer === 0 && plain && !external;
    for (const extent of extents) {
      if (!external) metadata?.assertClear(extent);
      cells.add(extent, copyable);
    }
  }
  return cells;
}
