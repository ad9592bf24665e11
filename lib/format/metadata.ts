import { UnqcowError } from '../errors.ts';
import { hasRefcountTable } from './checks.ts';
import type { Extent } from './extent.ts';
import { clusterSizeOf } from './geometry.ts';
import type { Image } from './image.ts';
import { viewOf } from './struct.ts';

/** The clusters that hold one kind of the image's own tables: their host offsets, ascending. */
interface MetadataClass {
  readonly name: string;
  readonly clusters: Float64Array;
}

/**
 * Where an image keeps its own tables. A data cluster there would copy them into the guest's disk; QEMU lets it.
 */
export class MetadataMap {
  readonly #classes: readonly MetadataClass[];
  readonly #clusterSize: number;

  constructor(classes: readonly MetadataClass[], clusterSize: number) {
    this.#classes = classes;
    this.#clusterSize = clusterSize;
  }

  /** @throws UnqcowError `METADATA_OVERLAP` if the extent's bytes lie on metadata. Logarithmic in the tables' number. */
  assertClear(extent: Extent): void {
    if (extent.kind === 'data') this.#assertClear(extent.host, extent.host + extent.end - extent.start, extent.start);
    if (extent.kind !== 'compressed') return;
    // A stream's sector count may reach over its neighbours; where it starts may not.
    for (const { host } of extent.clusters) this.#assertClear(host, host + 1, extent.start);
  }

  #assertClear(start: number, end: number, guest: number): void {
    const first = start - (start % this.#clusterSize);
    for (const { name, clusters } of this.#classes) {
      const found = clusters[lowerBound(clusters, first)];
      if (found === undefined || found >= end) continue;
      const message = `the data for the disk's bytes from ${guest} on lies on the ${name} at ${found}`;
      throw new UnqcowError('METADATA_OVERLAP', message, { at: `disk[${guest}]` });
    }
  }
}

/**
 * Finds the header, L1 table, L2 tables, refcount table and refcount blocks. Costs one read, of the refcount table.
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
  const [l1, blocks] = await Promise.all([
    l1Table,
    refcounts ? readRefcountBlocks(image, signal) : new Float64Array(0),
  ]);
  const tableBytes = refcounts ? header.refcountTableClusters * clusterSize : 0;
  const others: MetadataClass[] = [
    { name: 'header', clusters: clustersOf(0, header.headerLength, clusterSize) },
    { name: 'L1 table', clusters: clustersOf(Number(header.l1TableOffset), l1Bytes(image, l1), clusterSize) },
    { name: 'refcount table', clusters: clustersOf(Number(header.refcountTableOffset), tableBytes, clusterSize) },
    { name: 'refcount block', clusters: blocks },
  ];
  for (const { name, clusters } of others) {
    const index = l1.findIndex((offset) => offset !== 0 && clusters[lowerBound(clusters, offset)] === offset);
    if (index < 0) continue;
    throw new UnqcowError('METADATA_OVERLAP', `the L2 table at ${l1[index]} lies on the ${name}`, {
      at: `l1[${index}]`,
    });
  }
  const tables = l1.filter((offset) => offset !== 0).sort();
  return new MetadataMap([...others, { name: 'L2 table', clusters: tables }], clusterSize);
}

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

function clustersOf(start: number, length: number, clusterSize: number): Float64Array {
  return Float64Array.from({ length: Math.ceil(length / clusterSize) }, (_, i) => start + i * clusterSize);
}

/** The index of the first element that is at least `value`. */
function lowerBound(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
