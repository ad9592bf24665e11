import type { Warning } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { clip, type Extent } from './extent.ts';
import { extentBatches, type Qcow2Map, type Salvage } from './extents.ts';
import { clusterSizeOf, type Geometry, l2CoverageOf, type Qcow2Geometry, type RawGeometry } from './geometry.ts';
import { withoutOverlaps } from './overlaps.ts';
import { qcow1Batches } from './qcow1/extents.ts';
import { l2BytesOf, type Qcow1Geometry, l2CoverageOf as qcow1Coverage } from './qcow1/geometry.ts';
import type { Qcow1Map } from './qcow1/l1.ts';

export interface RawMap {
  readonly geometry: RawGeometry;
}

/** What the guest bytes of one file of a chain are found by. Serialisable, so that it travels in a job's items. */
export type LayerMap = Qcow1Map | Qcow2Map | RawMap;

const isRaw = (map: LayerMap): map is RawMap => map.geometry.version === 'raw';
const isVersion1 = (map: LayerMap): map is Qcow1Map => map.geometry.version === 1;

/** Whether a map of it can travel: the tables of a version 1 disk over 8 TiB are not held in memory. */
export const isPortable = (map: LayerMap): boolean => !('image' in map);

/** Guest bytes that so many bytes of a layer's tables map, in whole tables; any number where there are none. */
export function reachOfTables(map: LayerMap, bytes: number): number {
  if (isRaw(map)) return Number.POSITIVE_INFINITY;
  const { geometry } = map;
  const table = geometry.version === 1 ? l2BytesOf(geometry) : clusterSizeOf(geometry);
  return coverageOf(geometry) * Math.max(1, Math.floor(bytes / table));
}

/** Guest bytes that one L2 table maps. */
function coverageOf(geometry: Qcow1Geometry | Qcow2Geometry): number {
  return geometry.version === 1 ? qcow1Coverage(geometry) : l2CoverageOf(geometry);
}

/** The L2 tables that map a stretch of disk. */
export interface TableSlice {
  /** The L1 index of the first of `l2Offsets`. */
  readonly firstTable: number;
  readonly l2Offsets: readonly number[];
}

/** What of a portable map is needed for a stretch of disk; nothing for a layer without tables. */
export function sliceOf(map: LayerMap, { start, end }: ByteRange): TableSlice | null {
  if (!('l2Offsets' in map)) return null;
  const { firstTable, l2Offsets, geometry } = map;
  const coverage = coverageOf(geometry);
  const from = Math.min(Math.floor(start / coverage) - firstTable, l2Offsets.length);
  const to = Math.min(Math.ceil(end / coverage) - firstTable, l2Offsets.length);
  return {
    firstTable: firstTable + from,
    l2Offsets: Array.from({ length: to - from }, (_, i) => l2Offsets[from + i] as number),
  };
}

/** A layer's map again, out of its geometry and a slice of its tables. */
export function mapOf(geometry: Geometry, slice: TableSlice | null): LayerMap {
  if (geometry.version === 'raw') return { geometry };
  const tables = slice ?? { firstTable: 0, l2Offsets: [] };
  // Told apart for the compiler: a map's geometry is of one version.
  return geometry.version === 1 ? { geometry, ...tables } : { geometry, ...tables };
}

/** One file of a chain. */
export interface Layer {
  readonly map: LayerMap;
  /** Where its tables lie. */
  readonly source: ByteSource;
  /** Where its clusters lie: the same file, or an external data file. */
  readonly data: ByteSource;
  /** How what lies there plain is encrypted, if it is. */
  readonly cipher?: LayerCipher | undefined;
  /** Set where damage is passed over: what it hits is `lost`, whatever the layers below have there. */
  readonly salvage?: Salvage | undefined;
}

export interface LayerCipher {
  /** Whether sectors are numbered by where they lie in the file, or on the disk. */
  readonly numbering: 'host' | 'guest';
  /** Decrypts whole sectors of 512 bytes in place; `firstSector` is the first one's number, in that numbering. */
  readonly decrypt: (bytes: Uint8Array, firstSector: number) => void;
}

/** A disk: the file that was asked for, and those that it continues in, each backing the one before. */
export interface Disk {
  /** Bytes, of the first layer. */
  readonly size: number;
  readonly layers: readonly Layer[];
}

/** Neighbouring extents that lie in one layer of a disk, by its index. */
export interface DiskBatch {
  readonly layer: number;
  readonly extents: readonly Extent[];
}

export interface WalkOptions {
  readonly signal?: AbortSignal | undefined;
  readonly warn?: (warning: Warning) => void;
}

/**
 * Walks a stretch of a disk in order, and says where each piece of it lies: in the first layer that has it. What none has
 * is `unallocated`, of the last layer that reaches so far; a layer that ends earlier than the one before reads as zeros.
 *
 * Costs what `extentBatches` does, for each layer the tables of what the layers before leave open.
 *
 * @param range Guest bytes, within the disk; need not be aligned.
 */
export function diskBatches(disk: Disk, range: ByteRange, options: WalkOptions = {}): AsyncGenerator<DiskBatch> {
  return walk(disk.layers, 0, range, options);
}

async function* walk(
  layers: readonly Layer[],
  index: number,
  range: ByteRange,
  options: WalkOptions,
): AsyncGenerator<DiskBatch> {
  const layer = layers[index] as Layer;
  const below = layers[index + 1];
  for await (const batch of layerBatches(layer, range, options)) {
    if (!below) {
      yield { layer: index, extents: batch };
      continue;
    }
    let here: Extent[] = [];
    for (const extent of batch) {
      const covered = Math.min(extent.end, reachOf(below));
      if (extent.kind !== 'unallocated' || extent.start >= covered) {
        here.push(extent);
        continue;
      }
      if (here.length > 0) yield { layer: index, extents: here };
      yield* walk(layers, index + 1, { start: extent.start, end: covered }, options);
      here = covered < extent.end ? [clip(extent, { start: covered, end: extent.end })] : [];
    }
    if (here.length > 0) yield { layer: index, extents: here };
  }
}

/** Where a layer ends, as the one above sees it: QEMU counts in sectors. */
function reachOf({ map }: Layer): number {
  return Math.ceil(map.geometry.diskSize / 512) * 512;
}

/** One layer's extents within a range that need not be aligned to its clusters. */
async function* layerBatches(layer: Layer, range: ByteRange, options: WalkOptions): AsyncGenerator<readonly Extent[]> {
  const { map, source, data, salvage } = layer;
  if (isRaw(map)) {
    yield rawExtents(map, range);
    return;
  }
  const clusterSize = clusterSizeOf(map.geometry);
  const start = Math.floor(range.start / clusterSize) * clusterSize;
  const end = Math.min(Math.ceil(range.end / clusterSize) * clusterSize, map.geometry.diskSize);
  const isAligned = start === range.start && end === range.end;
  const batches = isVersion1(map)
    ? qcow1Batches(source, map, { start, end }, { ...options, salvage })
    : extentBatches(source, map, { start, end }, { ...options, salvage, dataSize: data.size });
  for await (const batch of batches) {
    const sound = salvage ? soundOf(batch, salvage, clusterSize) : batch;
    yield isAligned ? sound : clipped(sound, range);
  }
}

function soundOf(batch: readonly Extent[], { places }: Salvage, clusterSize: number): readonly Extent[] {
  return places ? batch.flatMap((extent) => [...withoutOverlaps(places, extent, clusterSize)]) : batch;
}

function clipped(batch: readonly Extent[], range: ByteRange): Extent[] {
  return batch.filter(({ start, end }) => start < range.end && end > range.start).map((each) => clip(each, range));
}

/** A raw file's bytes, and the zeros that fill its last sector. */
function rawExtents({ geometry: { diskSize } }: RawMap, { start, end }: ByteRange): Extent[] {
  const stop = Math.min(end, diskSize);
  const extents: Extent[] = start < stop ? [{ kind: 'data', start, end: stop, host: start }] : [];
  if (stop < end) extents.push({ kind: 'zero', start: Math.max(start, stop), end, host: Math.max(start, stop) });
  return extents;
}
