import { UnqcowError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import { readBitmaps } from './bitmaps.ts';
import { hasRefcountTable } from './checks.ts';
import { refblockOffsetOf } from './entry-bits.ts';
import { clusterSizeOf } from './geometry.ts';
import type { Image } from './image.ts';
import { lowerBound } from './lower-bound.ts';
import type { MetadataPlaces, MetadataSpan } from './overlaps.ts';
import { snapshotRanges } from './snapshot-choice.ts';
import type { SnapshotTable } from './snapshot-table.ts';
import { viewOf } from './struct.ts';
import type { TableDamage } from './walk.ts';

/** One kind of the image's own tables, and where in the file it lies: ascending, and apart from each other. */
interface MetadataClass {
  readonly name: string;
  readonly starts: ArrayLike<number>;
  /** Host offset of the end of the range that starts at `starts[i]`. */
  readonly endOf: (i: number) => number;
}

/** The tables of a version 2 or 3 image. */
export class MetadataMap implements MetadataPlaces {
  readonly #clusterSize: number;
  readonly #others: readonly MetadataClass[];
  readonly #all: readonly MetadataClass[];
  /** Whether no L2 table lies on one of the others. */
  readonly tablesAreClear: boolean;

  /**
   * @param l2Offsets Where the L2 tables lie.
   * @param active Where those of the active disk lie, ascending, if these are a snapshot's: some may be among them.
   */
  constructor(clusterSize: number, others: readonly MetadataClass[], l2Offsets: Float64Array, active: Float64Array) {
    this.#clusterSize = clusterSize;
    this.#others = others;
    const tables = l2Offsets.filter((offset) => offset % clusterSize === 0 && offset > 0);
    const sound = tables.filter((offset) => !this.damageOf(0, offset));
    this.tablesAreClear = sound.length === tables.length;
    const own = clusters('L2 table', sound.sort(), clusterSize);
    this.#all = [...others, own, clusters('active L2 table', active, clusterSize)];
  }

  overlapOf(range: ByteRange): MetadataSpan | undefined {
    return firstOf(this.#all, range);
  }

  /** Whether an L2 table lies on one of the others. */
  damageOf(l1Index: number, offset: number): TableDamage | undefined {
    const found = firstOf(this.#others, { start: offset, end: offset + this.#clusterSize });
    if (!found) return undefined;
    const message = `the L2 table at ${offset} lies on the ${found.name} at ${found.start}`;
    return { fault: new UnqcowError('METADATA_OVERLAP', message, { at: `l1[${l1Index}]` }), readable: 0 };
  }
}

function firstOf(classes: readonly MetadataClass[], range: ByteRange): MetadataSpan | undefined {
  let first: MetadataSpan | undefined;
  for (const each of classes) {
    const found = overlapped(each, range);
    if (found && (!first || found.start < first.start)) first = found;
  }
  return first;
}

/** The first span of a class that has bytes of a range, if there is one. */
function overlapped({ name, starts, endOf }: MetadataClass, { start, end }: ByteRange): MetadataSpan | undefined {
  // Spans do not overlap: it is the last that starts no later than the range, or the one after that.
  let i = Math.max(0, lowerBound(starts, start + 1) - 1);
  if (i < starts.length && endOf(i) <= start) i += 1;
  const from = starts[i];
  return from !== undefined && from < end && endOf(i) > start ? { name, start: from, end: endOf(i) } : undefined;
}

interface MetadataTables {
  readonly l1Table: Promise<Float64Array>;
  readonly activeTables?: Promise<Float64Array> | undefined;
}

/**
 * Finds the header, L1 and L2 tables, refcount table and blocks, the snapshots' tables and the bitmap directory. Costs one
 * read, of the refcount table, and what `readBitmaps` costs where there are any.
 *
 * @param l1Table As `readL1` returns it; not awaited first, so that one request can bring all tables.
 * @param activeTables As `readActiveTables` returns it, where a snapshot is read: its own L2 tables may be among them.
 * @param snapshotTable As `readSnapshots` returns it.
 */
export async function readMetadata(
  image: Image,
  { l1Table, activeTables }: MetadataTables,
  snapshotTable: Promise<SnapshotTable>,
  signal?: AbortSignal,
): Promise<MetadataMap> {
  const { header, geometry } = image;
  const clusterSize = clusterSizeOf(geometry);
  const refcounts = hasRefcountTable(header);
  const [l1, active = NO_TABLES, blocks, snapshots, bitmaps] = await Promise.all([
    l1Table,
    activeTables,
    refcounts ? readRefcountBlocks(image, signal) : NO_TABLES,
    snapshotTable,
    readBitmaps(image, { signal }),
  ]);
  const tableBytes = refcounts ? header.refcountTableClusters * clusterSize : 0;
  // A table has its last cluster to itself.
  const whole = (bytes: number) => Math.ceil(bytes / clusterSize) * clusterSize;
  const others: MetadataClass[] = [
    span('header', 0, whole(header.headerLength)),
    span('L1 table', Number(header.l1TableOffset), whole(l1Bytes(image, l1))),
    span('refcount table', Number(header.refcountTableOffset), tableBytes),
    clusters('refcount block', blocks, clusterSize),
    ...snapshotRanges(image, snapshots).map(({ name, ranges }) => spans(name, ranges)),
    spans('bitmap directory', bitmaps.directory ? [bitmaps.directory] : []),
  ];
  return new MetadataMap(clusterSize, others, l1, active);
}

/** @throws UnqcowError `METADATA_OVERLAP` at `l1[i]` if an L2 table lies on one of the image's other tables. */
export function assertTablesClear(metadata: MetadataMap, l1: Float64Array): void {
  if (metadata.tablesAreClear) return;
  for (const [index, offset] of l1.entries()) {
    const damage = offset === 0 ? undefined : metadata.damageOf(index, offset);
    if (damage) throw damage.fault;
  }
}

const NO_TABLES = new Float64Array(0);

const spans = (name: string, ranges: readonly ByteRange[]): MetadataClass => ({
  name,
  starts: ranges.map(({ start }) => start),
  endOf: (i) => (ranges[i] as ByteRange).end,
});

const span = (name: string, start: number, length: number) =>
  spans(name, length > 0 ? [{ start, end: start + length }] : []);

const clusters = (name: string, starts: Float64Array, clusterSize: number): MetadataClass => ({
  name,
  starts,
  endOf: (i) => (starts[i] as number) + clusterSize,
});

/** Entries that the disk does not need count only if the file has them: a size that is not true covers anything. */
function l1Bytes({ header, fileSize }: Image, l1: Float64Array): number {
  const claimed = header.l1Size * 8;
  return Number(header.l1TableOffset) + claimed <= fileSize ? claimed : l1.length * 8;
}

/** Where the refcount blocks lie. Entries that are damaged are left out: refcounts are not needed to read. */
async function readRefcountBlocks({ source, header, geometry }: Image, signal?: AbortSignal): Promise<Float64Array> {
  const clusterSize = clusterSizeOf(geometry);
  const start = Math.min(Number(header.refcountTableOffset), source.size);
  const end = Math.min(start + header.refcountTableClusters * clusterSize, source.size);
  const view = viewOf(await source.read({ start, end }, { signal }));
  const blocks = new Float64Array(Math.floor(view.byteLength / 8));
  for (let i = 0; i < blocks.length; i += 1) {
    const offset = refblockOffsetOf(view.getUint32(i * 8), view.getUint32(i * 8 + 4));
    if (offset % clusterSize === 0) blocks[i] = offset;
  }
  return blocks.filter((offset) => offset !== 0).sort();
}
