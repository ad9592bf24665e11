import type { ByteRange } from '../../ranges.ts';
import { lowerBound } from '../lower-bound.ts';
import type { MetadataPlaces, MetadataSpan } from '../overlaps.ts';
import { L2_ENTRY_BYTES, l2BytesNeeded, l2BytesOf, l2TablesOf, type Qcow1Geometry } from './geometry.ts';
import { backingNameRange, QCOW1_HEADER_BYTES } from './header.ts';
import type { Qcow1Image } from './image.ts';

/** What lies in one place, whatever the L1 table says. Of the L1 table only the entries that the disk needs count. */
export function fixedSpans({ header, geometry }: Qcow1Image): MetadataSpan[] {
  const l1 = Number(header.l1TableOffset);
  const name = backingNameRange(header);
  return [
    { name: 'header', start: 0, end: QCOW1_HEADER_BYTES },
    ...(name ? [{ name: "backing file's name", ...name }] : []),
    { name: 'L1 table', start: l1, end: l1 + l2TablesOf(geometry) * L2_ENTRY_BYTES },
  ];
}

/** The first of them that shares a byte with `[start, end)`. */
export function overlapped(spans: readonly MetadataSpan[], { start, end }: ByteRange): MetadataSpan | undefined {
  const found = spans.filter((span) => span.start < end && start < span.end);
  return found.sort((a, b) => a.start - b.start)[0];
}

/** The tables of a version 1 image. They are not aligned to clusters, so it compares bytes. */
export class Qcow1Metadata implements MetadataPlaces {
  readonly #spans: readonly MetadataSpan[];
  /** Where whole L2 tables start, ascending. */
  readonly #tables: Float64Array;
  readonly #tableBytes: number;

  /** @param l2Offsets Of all L2 tables; left out, data on L2 tables is not noticed. */
  constructor(image: Qcow1Image, l2Offsets: ArrayLike<number> = []) {
    const { geometry } = image;
    const last = l2TablesOf(geometry) - 1;
    this.#spans = [...fixedSpans(image), ...partOfTable(geometry, last, l2Offsets[last] ?? 0)];
    this.#tables = Float64Array.from(l2Offsets)
      .filter((offset, index) => offset !== 0 && index !== last)
      .sort();
    this.#tableBytes = l2BytesOf(geometry);
  }

  overlapOf(range: ByteRange): MetadataSpan | undefined {
    const found = [overlapped(this.#spans, range), this.#tableOn(range)].filter((span) => span !== undefined);
    return found.sort((a, b) => a.start - b.start)[0];
  }

  /** All have the same length, so the first one that ends after the range's start is the one to look at. */
  #tableOn({ start, end }: ByteRange): MetadataSpan | undefined {
    const table = this.#tables[lowerBound(this.#tables, start - this.#tableBytes + 1)];
    if (table === undefined || table >= end) return undefined;
    return { name: 'L2 table', start: table, end: table + this.#tableBytes };
  }
}

function partOfTable(geometry: Qcow1Geometry, index: number, start: number): MetadataSpan[] {
  return start === 0 ? [] : [{ name: 'L2 table', start, end: start + l2BytesNeeded(geometry, index) }];
}
