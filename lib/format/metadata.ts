import { UnqcowError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import { readBitmaps } from './bitmaps.ts';
import { hasRefcountTable } from './checks.ts';
import type { Extent } from './extent.ts';
import { clusterSizeOf } from './geometry.ts';
import type { Image } from './image.ts';
import { snapshotRanges } from './snapshot-choice.ts';
import { readSnapshots } from './snapshots.ts';
import { viewOf } from './struct.ts';

/** One kind of the image's own tables, and where in the file it lies: ascending, and apart from each other. */
interface MetadataClass {
  readonly name: string;
  readonly starts: ArrayLike<number>;
  /** Host offset of the end of the range that starts at `starts[i]`. */
  readonly endOf: (i: number) => number;
}

/**
 * Where an image keeps its own tables. A data cluster there would copy them into the guest's disk; QEMU lets it.
 */
export class MetadataMap {
  readonly #classes: readonly MetadataClass[];

  constructor(classes: readonly MetadataClass[]) {
    this.#classes = classes;
  }

  /** @throws UnqcowError `METADATA_OVERLAP` if the extent's bytes lie on metadata. Logarithmic in the tables' number. */
  assertClear(extent: Extent): void {
    if (extent.kind === 'data') this.#assertClear(extent.host, extent.host + extent.end - extent.start, extent.start);
    if (extent.kind !== 'compressed') return;
    // A stream's sector count may reach over its neighbours; where it starts may not.
    for (const { host } of extent.clusters) this.#assertClear(host, host + 1, extent.start);
  }

  #assertClear(start: number, end: number, guest: number): void {
    for (const each of this.#classes) {
      const found = overlapped(each, start, end);
      if (found === undefined) continue;
      const message = `the data for the disk's bytes from ${guest} on lies on the ${each.name} at ${found}`;
      throw new UnqcowError('METADATA_OVERLAP', message, { at: `disk[${guest}]` });
    }
  }
}

/** Where the first range of a class starts that has bytes of `[start, end)`, if there is one. */
function overlapped({ starts, endOf }: MetadataClass, start: number, end: number): number | undefined {
  // The last range that starts before `end` is the only one that can reach into it, since ranges do not overlap.
  const last = lowerBound(starts, end) - 1;
  return last >= 0 && endOf(last) > start ? starts[last] : undefined;
}

/**
 * Finds the header, L1 and L2 tables, refcount table and blocks, the snapshots' tables and the bitmap directory. Costs one
 * read, of the refcount table, and what `readSnapshots` and `readBitmaps` cost where there are any.
 *
 * @param l1Table As `readL1` returns it; not awaited first, so that one request can bring both tables.
 * @throws UnqcowError `METADATA_OVERLAP` at `l1[i]` if an L2 table lies on one of the others.
 */
export async function readMetadata(
  image: Image,
  l1Table: Promise<Float64Array>,
  signal?: AbortSignal,
): Promise<MetadataMap> {
  const { header, geometry } = image;
  const clusterSize = clusterSizeOf(geometry);
  const refcounts = hasRefcountTable(header);
  const [l1, blocks, snapshots, bitmaps] = await Promise.all([
    l1Table,
    refcounts ? readRefcountBlocks(image, signal) : new Float64Array(0),
    readSnapshots(image, { signal }),
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
  for (const each of others) {
    const index = l1.findIndex(
      (offset) => offset !== 0 && overlapped(each, offset, offset + clusterSize) !== undefined,
    );
    if (index < 0) continue;
    throw new UnqcowError('METADATA_OVERLAP', `the L2 table at ${l1[index]} lies on the ${each.name}`, {
      at: `l1[${index}]`,
    });
  }
  const tables = l1.filter((offset) => offset !== 0).sort();
  return new MetadataMap([...others, clusters('L2 table', tables, clusterSize)]);
}

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
    const offset = view.getUint32(i * 8) * 2 ** 32 + ((view.getUint32(i * 8 + 4) & 0xfffffe00) >>> 0);
    if (offset % clusterSize === 0) blocks[i] = offset;
  }
  return blocks.filter((offset) => offset !== 0).sort();
}

/** The index of the first element that is at least `value`. */
function lowerBound(sorted: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
