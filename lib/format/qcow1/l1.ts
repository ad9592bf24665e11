import { pMapIterable } from 'p-map';
import { UnqcowError } from '../../errors.ts';
import { type ByteRange, clipped } from '../../ranges.ts';
import { MiB } from '../../units.ts';
import type { ExtentOptions } from '../extents.ts';
import type { MetadataSpan } from '../overlaps.ts';
import { viewOf } from '../struct.ts';
import { type L2Tables, NOWHERE, type TableDamage } from '../walk.ts';
import { qcow1OffsetOf } from './entries.ts';
import {
  L2_ENTRY_BYTES,
  l2BytesNeeded,
  l2CoverageOf,
  l2TablesOf,
  MAX_HELD_L1_BYTES,
  type Qcow1Geometry,
} from './geometry.ts';
import type { Qcow1Image } from './image.ts';
import { fixedSpans, overlapped } from './metadata.ts';

/** All that is needed to find guest bytes, without reading a header or an L1 table again. */
export interface Qcow1GuestMap extends L2Tables {
  readonly geometry: Qcow1Geometry;
}

/** L2 tables that are looked up in the image's L1 table as a walk goes on. */
export interface Qcow1LazyMap {
  readonly geometry: Qcow1Geometry;
  readonly image: Qcow1Image;
}

export type Qcow1Map = Qcow1GuestMap | Qcow1LazyMap;

export interface L1Options extends Pick<ExtentOptions, 'signal' | 'warn'> {
  /** Nothing is refused: `tableDamage` tells what is wrong with each table. An entry past the end of the file is `NOWHERE`. */
  readonly salvage?: boolean | undefined;
}

/** The L1 table is read this many bytes at a time, and so many windows ahead. */
const WINDOW_BYTES = MiB;
const WINDOWS_AHEAD = 4;

/**
 * The map of the whole disk. An L1 table of up to 32 MiB is read now, by requests of 1 MiB, and held; a longer one is left
 * where it is, and read again by each walk.
 *
 * @throws UnqcowError as `l2Windows` does.
 */
export async function readQcow1Map(image: Qcow1Image, options: L1Options = {}): Promise<Qcow1Map> {
  const { geometry } = image;
  const tables = l2TablesOf(geometry);
  if (tables * L2_ENTRY_BYTES > MAX_HELD_L1_BYTES) return { geometry, image };
  const l2Offsets = new Float64Array(tables);
  for await (const window of l2Windows(image, { start: 0, end: geometry.diskSize }, options)) {
    l2Offsets.set(window.l2Offsets, window.firstTable);
  }
  return { geometry, firstTable: 0, l2Offsets };
}

/**
 * Reads the L1 entries for a stretch of disk, 1 MiB at a time and up to 4 MiB ahead, and says where the L2 tables lie.
 *
 * @throws UnqcowError `L2_BEYOND_EOF`, `METADATA_OVERLAP` at `l1[i]`.
 */
export async function* l2Windows(
  image: Qcow1Image,
  range: ByteRange,
  { signal, warn = image.warnings.add, salvage }: L1Options = {},
): AsyncGenerator<L2Tables & { readonly l2Offsets: Float64Array }> {
  const spans = fixedSpans(image);
  const read = async ({ start, end }: ByteRange) => {
    const base = Number(image.header.l1TableOffset);
    const bytes = { start: base + start * L2_ENTRY_BYTES, end: base + end * L2_ENTRY_BYTES };
    const stored = salvage ? clipped(bytes, image.fileSize) : bytes;
    return { firstTable: start, count: end - start, view: viewOf(await image.source.read(stored, { signal })) };
  };
  const windows = pMapIterable(windowsOf(tablesOf(image.geometry, range)), read, {
    concurrency: WINDOWS_AHEAD,
    backpressure: WINDOWS_AHEAD,
  });
  for await (const { firstTable, count, view } of windows) {
    const l2Offsets = new Float64Array(count);
    const there = Math.floor(view.byteLength / L2_ENTRY_BYTES);
    l2Offsets.fill(NOWHERE, there);
    for (let i = 0; i < there; i += 1) {
      const offset = qcow1OffsetOf(view.getUint32(i * L2_ENTRY_BYTES), view.getUint32(i * L2_ENTRY_BYTES + 4));
      if (offset === 0) continue;
      const damage = salvage ? undefined : tableDamage(image, spans, firstTable + i, offset);
      if (damage) throw damage.fault;
      warnIfUnaligned(firstTable + i, offset, warn);
      l2Offsets[i] = offset;
    }
    yield { firstTable, l2Offsets };
  }
}

/** The L1 indexes `[firstTable, end)` of the tables that map a stretch of disk. */
function tablesOf(geometry: Qcow1Geometry, range: ByteRange) {
  const coverage = l2CoverageOf(geometry);
  return { firstTable: Math.floor(range.start / coverage), end: Math.ceil(range.end / coverage) };
}

function* windowsOf({ firstTable, end }: { firstTable: number; end: number }): Generator<ByteRange> {
  const entries = WINDOW_BYTES / L2_ENTRY_BYTES;
  for (let start = firstTable; start < end; start += entries) yield { start, end: Math.min(start + entries, end) };
}

/**
 * Whether an L2 table cannot be read where an L1 entry says that it lies. It may lie anywhere, and be cut off by the end of
 * the file after the entries that the disk needs.
 *
 * @param spans As `fixedSpans` tells them.
 */
export function tableDamage(
  { geometry, fileSize }: Pick<Qcow1Image, 'geometry' | 'fileSize'>,
  spans: readonly MetadataSpan[],
  index: number,
  offset: number,
): TableDamage | undefined {
  const at = `l1[${index}]`;
  if (offset === NOWHERE) {
    const message = `the L1 entry lies past the file's ${fileSize} bytes`;
    return { fault: new UnqcowError('L1_BEYOND_EOF', message, { at }), readable: 0 };
  }
  const end = offset + l2BytesNeeded(geometry, index);
  const span = overlapped(spans, { start: offset, end: Math.min(end, fileSize) });
  if (end > fileSize) {
    const message = `the L2 table at ${offset} runs past the file's ${fileSize} bytes`;
    return { fault: new UnqcowError('L2_BEYOND_EOF', message, { at }), readable: span ? 0 : fileSize };
  }
  if (!span) return undefined;
  const message = `the L2 table at ${offset} lies on the ${span.name}`;
  return { fault: new UnqcowError('METADATA_OVERLAP', message, { at }), readable: 0 };
}

function warnIfUnaligned(index: number, offset: number, warn: NonNullable<L1Options['warn']>): void {
  if (offset % 512 === 0) return;
  const message = `the L2 table at ${offset} does not start on a sector`;
  warn({ code: 'L2_UNALIGNED', message, at: `l1[${index}]` });
}
