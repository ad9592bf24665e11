import { pMapIterable } from 'p-map';
import { UnqcowError } from '../../errors.ts';
import type { ByteRange } from '../../ranges.ts';
import { MiB } from '../../units.ts';
import type { ExtentOptions } from '../extents.ts';
import { viewOf } from '../struct.ts';
import { L2_ENTRY_BYTES, l2BytesNeeded, l2CoverageOf, l2TablesOf, type Qcow1Geometry } from './geometry.ts';
import type { Qcow1Image } from './image.ts';
import { fixedSpans, type MetadataSpan, overlapped } from './metadata.ts';

/** Where some neighbouring L2 tables lie. */
export interface L2Tables {
  /** The L1 index of the first of `l2Offsets`. */
  readonly firstTable: number;
  /** Host offsets of the L2 tables, 0 where there is none. */
  readonly l2Offsets: ArrayLike<number>;
}

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

/** The L1 table is read this many bytes at a time, and so many windows ahead. */
const WINDOW_BYTES = MiB;
const WINDOWS_AHEAD = 4;
/** What QEMU lets the L1 table of a version 2 image have: 8 TiB of disk by version 1's usual sizes. */
const MAX_IN_MEMORY = 32 * MiB;

/**
 * The map of the whole disk. An L1 table of up to 32 MiB is read now, by requests of 1 MiB; a longer one is left where it
 * is, and read again by each walk.
 *
 * @throws UnqcowError as `l2Windows` does.
 */
export async function readQcow1Map(image: Qcow1Image, options: ExtentOptions = {}): Promise<Qcow1Map> {
  const { geometry } = image;
  if (l2TablesOf(geometry) * L2_ENTRY_BYTES > MAX_IN_MEMORY) return { geometry, image };
  return readQcow1Tables(image, { start: 0, end: geometry.diskSize }, options);
}

/**
 * The map of a stretch of disk, for a worker: plain data, but for the typed array.
 *
 * Memory and cost: 8 bytes per `2^(clusterBits + l2Bits)` bytes of the stretch, in requests of up to 1 MiB.
 *
 * @throws UnqcowError as `l2Windows` does.
 */
export async function readQcow1Tables(
  image: Qcow1Image,
  range: ByteRange,
  options: ExtentOptions = {},
): Promise<Qcow1GuestMap> {
  const { geometry } = image;
  const { firstTable, end } = tablesOf(geometry, range);
  const l2Offsets = new Float64Array(end - firstTable);
  for await (const window of l2Windows(image, range, options)) {
    l2Offsets.set(window.l2Offsets, window.firstTable - firstTable);
  }
  return { geometry, firstTable, l2Offsets };
}

/**
 * Reads the L1 entries for a stretch of disk, 1 MiB at a time and up to 4 MiB ahead, and says where the L2 tables lie.
 *
 * @throws UnqcowError `L2_BEYOND_EOF`, `METADATA_OVERLAP` at `l1[i]`.
 */
export async function* l2Windows(
  image: Qcow1Image,
  range: ByteRange,
  { signal, warn = image.warnings.add }: ExtentOptions = {},
): AsyncGenerator<L2Tables & { readonly l2Offsets: Float64Array }> {
  const spans = fixedSpans(image);
  const read = async ({ start, end }: ByteRange) => {
    const base = Number(image.header.l1TableOffset);
    const bytes = { start: base + start * L2_ENTRY_BYTES, end: base + end * L2_ENTRY_BYTES };
    return { firstTable: start, view: viewOf(await image.source.read(bytes, { signal })) };
  };
  const windows = pMapIterable(windowsOf(tablesOf(image.geometry, range)), read, {
    concurrency: WINDOWS_AHEAD,
    backpressure: WINDOWS_AHEAD,
  });
  for await (const { firstTable, view } of windows) {
    const l2Offsets = new Float64Array(view.byteLength / L2_ENTRY_BYTES);
    for (let i = 0; i < l2Offsets.length; i += 1) {
      const offset = view.getUint32(i * L2_ENTRY_BYTES) * 2 ** 32 + view.getUint32(i * L2_ENTRY_BYTES + 4);
      if (offset === 0) continue;
      checkTable(image, spans, firstTable + i, offset, warn);
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

type Warn = NonNullable<ExtentOptions['warn']>;

/** An L2 table may lie anywhere, and may be cut off by the end of the file after the entries that the disk needs. */
function checkTable(
  { geometry, fileSize }: Qcow1Image,
  spans: readonly MetadataSpan[],
  index: number,
  offset: number,
  warn: Warn,
): void {
  const at = `l1[${index}]`;
  const end = offset + l2BytesNeeded(geometry, index);
  if (end > fileSize) {
    throw new UnqcowError('L2_BEYOND_EOF', `the L2 table at ${offset} runs past the file's ${fileSize} bytes`, { at });
  }
  const span = overlapped(spans, { start: offset, end });
  if (span) throw new UnqcowError('METADATA_OVERLAP', `the L2 table at ${offset} lies on the ${span.name}`, { at });
  if (offset % 512 !== 0) {
    warn({ code: 'L2_UNALIGNED', message: `the L2 table at ${offset} does not start on a sector`, at });
  }
}
