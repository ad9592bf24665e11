import { UnqcowError } from '../../errors.ts';
import type { ByteRange } from '../../ranges.ts';
import type { Extent } from '../extent.ts';
import { L2_ENTRY_BYTES, l2BytesNeeded, l2BytesOf, l2TablesOf, type Qcow1Geometry } from './geometry.ts';
import { backingNameRange, QCOW1_HEADER_BYTES } from './header.ts';
import type { Qcow1Image } from './image.ts';

/** Host bytes that hold one of the image's own structures. */
export interface MetadataSpan extends ByteRange {
  readonly name: string;
}

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
  return spans.find((span) => span.start < end && start < span.end);
}

/**
 * Where an image keeps its own structures. A data cluster there would copy them into the guest's disk; QEMU lets it.
 * Tables are not aligned to clusters, so it compares bytes.
 */
export class Qcow1Metadata {
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

  /** @throws UnqcowError `METADATA_OVERLAP` if the extent's bytes lie on metadata. Logarithmic in the tables' number. */
  assertClear(extent: Extent): void {
    if (extent.kind === 'data') {
      this.#assertClear({ start: extent.host, end: extent.host + extent.end - extent.start }, extent.start);
    }
    if (extent.kind !== 'compressed') return;
    // A stream may end before the length that its entry names, but where it starts is certain.
    for (const { host } of extent.clusters) this.#assertClear({ start: host, end: host + 1 }, extent.start);
  }

  #assertClear(range: ByteRange, guest: number): void {
    const span = overlapped(this.#spans, range) ?? this.#tableOn(range);
    if (!span) return;
    const message = `the data for the disk's bytes from ${guest} on lies on the ${span.name} at ${span.start}`;
    throw new UnqcowError('METADATA_OVERLAP', message, { at: `disk[${guest}]` });
  }

  /** All have the same length, so the first one that ends after the range's start is the one to look at. */
  #tableOn({ start, end }: ByteRange): MetadataSpan | undefined {
    const table = this.#tables[firstAbove(this.#tables, start - this.#tableBytes)];
    if (table === undefined || table >= end) return undefined;
    return { name: 'L2 table', start: table, end: table + this.#tableBytes };
  }
}

function partOfTable(geometry: Qcow1Geometry, index: number, start: number): MetadataSpan[] {
  return start === 0 ? [] : [{ name: 'L2 table', start, end: start + l2BytesNeeded(geometry, index) }];
}

/** The index of the first element that is greater than `value`. */
function firstAbove(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
