import type { MapEntry } from '../answers.ts';
import { Cells } from './cells.ts';
import { type Extent, Extents } from './extents.ts';
import { DATA, KINDS, kindOf } from './kinds.ts';

export type Order = 'guest' | 'host';

export interface DiskMapOptions {
  /** Bytes of disk, and of the file that its plain clusters lie in. */
  readonly size: number;
  readonly fileSize: number;
  /** Bytes of a cluster: the smallest cell there is. */
  readonly unit: number;
  /** Stretches that are kept one by one, and cells that the rest is summed up in. */
  readonly keep?: number;
  readonly sums?: number;
}

/**
 * What a map comes to while it is paged through. Each stretch is kept while there are not too many; all are summed up in
 * cells besides. A map of a million stretches takes no more memory than one of a hundred thousand: some 16 MiB.
 */
export class DiskMap {
  readonly size: number;
  readonly fileSize: number;
  readonly unit: number;
  readonly #keep: number;
  readonly #sums: Readonly<Record<Order, Cells>>;
  #exact: Extents | undefined;
  /** Closer up: the stretches of what is looked at, where not all are kept. */
  #closer: { readonly start: number; readonly extents: Extents } | undefined;
  /** Where the last plain data ends in the file. */
  #previousEnd: number | undefined;
  readonly bytes = new Float64Array(KINDS.length);
  /** Stretches in all, and how often plain data does not lie behind the plain data before it. */
  count = 0;
  pieces = 0;
  jumps = 0;
  /** The guest offset up to which the map is known. */
  covered = 0;

  constructor({ size, fileSize, unit, keep = 65_536, sums = 65_536 }: DiskMapOptions) {
    this.size = size;
    this.fileSize = fileSize;
    this.unit = unit;
    this.#keep = keep;
    this.#exact = new Extents(keep);
    this.#sums = { guest: sumsOf(size, unit, sums), host: sumsOf(fileSize, unit, sums) };
  }

  /** Whether every stretch is at hand. */
  get isExact(): boolean {
    return this.#exact !== undefined;
  }

  /** Bytes of the smallest cell that is known of everywhere. */
  finest(order: Order): number {
    return this.#exact ? this.unit : this.#sums[order].size;
  }

  lengthOf(order: Order): number {
    return order === 'guest' ? this.size : this.fileSize;
  }

  add(entries: readonly MapEntry[]): void {
    for (const entry of entries) {
      if (this.#exact?.isFull) this.#exact = undefined;
      this.#exact?.add(entry);
      this.#sum(entry);
    }
  }

  #sum(entry: MapEntry): void {
    const { start, length, offset, depth } = entry;
    const kind = kindOf(entry);
    const end = start + length;
    const host = depth === 0 ? offset : undefined;
    this.#sums.guest.add(kind, start, end, host);
    if (host !== undefined) this.#sums.host.add(kind, host, host + length, start);
    this.bytes[kind] = (this.bytes[kind] ?? 0) + length;
    this.count += 1;
    this.covered = end;
    if (kind !== DATA || host === undefined) return;
    this.pieces += 1;
    if (this.#previousEnd !== undefined && this.#previousEnd !== host) this.jumps += 1;
    this.#previousEnd = host + length;
  }

  /** Whether a view is drawn from sums that are coarser than its cells. */
  isCoarse({ start, end, size }: Cells, order: Order): boolean {
    if (size >= this.finest(order)) return false;
    return order === 'host' || !this.#isCloser(start, Math.min(end, this.covered));
  }

  /** Keeps the stretches of what is looked at, as many as are kept at all. */
  lookCloser(start: number, entries: readonly MapEntry[]): void {
    const extents = new Extents(Math.min(entries.length, this.#keep));
    for (const entry of entries.slice(0, this.#keep)) extents.add(entry);
    this.#closer = { start, extents };
  }

  pour(cells: Cells, order: Order): void {
    const closer = this.#isCloser(cells.start, Math.min(cells.end, this.covered)) ? this.#closer?.extents : undefined;
    const coarse = cells.size >= this.#sums[order].size;
    if (this.#exact && order === 'guest') this.#exact.pour(cells);
    else if (this.#exact) this.#exact.pourByHost(cells);
    else if (order === 'guest' && closer && !coarse) closer.pour(cells);
    else cells.addAll(this.#sums[order]);
  }

  /** The stretch that has this byte, if it is at hand. */
  find(offset: number, order: Order): Extent | undefined {
    if (order === 'host') return this.#exact?.findInFile(offset);
    return (this.#exact ?? this.#closer?.extents)?.find(offset);
  }

  /** Stretches of the disk within a range, if they are at hand. */
  within(start: number, end: number): Iterable<Extent> {
    return (this.#exact ?? this.#closer?.extents)?.within(start, end) ?? [];
  }

  #isCloser(start: number, end: number): boolean {
    return this.#closer !== undefined && this.#closer.start <= start && end <= this.#closer.extents.end;
  }
}

/** Cells of a power of two of clusters, so that coarser ones are whole numbers of them. */
function sumsOf(length: number, unit: number, most: number): Cells {
  let size = unit;
  while (size * most < length) size *= 2;
  return new Cells(0, size, Math.max(1, Math.ceil(length / size)));
}
