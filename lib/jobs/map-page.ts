import { clusterSizeOf } from '../format/geometry.ts';
import { type DiskBatch, diskBatches, reachOfTables } from '../format/layer.ts';
import { type MapEntry, mapEntries } from '../format/map.ts';
import type { Meter } from '../source/metered.ts';
import { MiB } from '../units.ts';
import type { OpenDisk, OpenLayer } from './open-disk.ts';

export interface MapPageOptions {
  /** Guest offset at which the page begins: where the one before ended. */
  readonly from: number;
  /** Entries, at most. */
  readonly limit: number;
  /** Counts what the disk's files are read for. */
  readonly meter: Meter;
  /** Bytes read after which the page ends. */
  readonly maxBytes: number;
  /** Milliseconds since 1970 after which the page ends. */
  readonly until: number;
  readonly signal?: AbortSignal | undefined;
}

export interface MapPage {
  readonly entries: readonly MapEntry[];
  /** Where the next page begins, if the disk goes on. */
  readonly next: number | undefined;
}

/** Tables that are read before it is asked again whether the page has cost enough, in bytes. */
const STRIDE = 4 * MiB;

/**
 * A page of what `qemu-img map` says of a disk. All pages together say the same, except that an entry may be cut where
 * a page ended for what it had cost.
 *
 * Costs few requests for the L2 tables of what it covers: at least 4 MiB of tables, at most about that over `maxBytes`.
 *
 * @throws UnqcowError as `diskBatches` does.
 */
export async function mapPage(disk: OpenDisk, options: MapPageOptions): Promise<MapPage> {
  const { from, limit } = options;
  const entries: MapEntry[] = [];
  for await (const entry of mapEntries(strides(disk, options), disk.layers)) {
    const rest = restOf(entry, from);
    if (rest) entries.push(rest);
    if (entries.length === limit) break;
  }
  const last = entries.at(-1);
  const end = last ? last.start + last.length : disk.size;
  return { entries, next: end < disk.size ? end : undefined };
}

/** Walks on from a page's beginning, or from the cluster that it lies in, for as long as the page may cost. */
async function* strides(disk: OpenDisk, options: MapPageOptions): AsyncGenerator<DiskBatch> {
  const { from, meter, maxBytes, until, signal } = options;
  const { geometry } = (disk.layers[0] as OpenLayer).map;
  const cluster = geometry.version === 'raw' ? 1 : clusterSizeOf(geometry);
  const length = Math.min(...disk.layers.map(({ map }) => reachOfTables(map, STRIDE)));
  const limit = meter.bytes + maxBytes;
  let start = Math.floor(from / cluster) * cluster;
  while (start < disk.size) {
    const end = Math.min(start + length, disk.size);
    yield* diskBatches(disk, { start, end }, { signal, warn: disk.warnings.add });
    if (meter.bytes >= limit || Date.now() >= until) return;
    start = end;
  }
}

/** What of an entry is not before a page's beginning. */
function restOf(entry: MapEntry, from: number): MapEntry | undefined {
  const { start, length, offset } = entry;
  const before = Math.max(0, from - start);
  if (before >= length) return undefined;
  const at = offset === undefined ? {} : { offset: offset + before };
  return { ...entry, start: start + before, length: length - before, ...at };
}
