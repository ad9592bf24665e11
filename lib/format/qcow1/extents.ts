import { pMapIterable } from 'p-map';
import type { ByteRange } from '../../ranges.ts';
import type { ByteSource } from '../../source/byte-source.ts';
import { coalesced } from '../../source/coalesced.ts';
import { KiB, MiB } from '../../units.ts';
import { type Extent, ExtentJoiner } from '../extent.ts';
import type { ExtentOptions } from '../extents.ts';
import { viewOf } from '../struct.ts';
import { l2BytesOf, l2CoverageOf, type Qcow1Geometry } from './geometry.ts';
import { type L2Tables, l2Windows, type Qcow1Map } from './l1.ts';
import { decodeQcow1L2, type Qcow1Context } from './l2.ts';

/** L2 tables are fetched this many bytes at a time, and so many windows ahead of the one that is being decoded. */
const WINDOW_BYTES = 8 * MiB;
const WINDOWS_AHEAD = 4;
/** Two tables nearer than this are fetched by one request. */
const TABLE_LIMITS = { maxGap: 256 * KiB, maxLength: WINDOW_BYTES };

/**
 * Walks the guest disk in order and says what each stretch is made of, as `extentBatches` does for versions 2 and 3.
 * There are no zero clusters in version 1.
 *
 * Reads each L2 table once — `2^(l2Bits + 3)` bytes per `2^(clusterBits + l2Bits)` of disk: 4 KiB per 2 MiB by the usual
 * sizes — neighbouring tables by one request, at most 32 MiB ahead; the L1 table, if it is not in the map, 1 MiB at a
 * time; and no guest data.
 *
 * @param range Guest bytes that `map` covers; starts and ends on a cluster, or at the disk's end.
 * @throws UnqcowError as `decodeQcow1L2`, `l2Windows` and the source do.
 */
export async function* qcow1Batches(
  source: ByteSource,
  map: Qcow1Map,
  range: ByteRange,
  { signal, warn = () => {} }: ExtentOptions = {},
): AsyncGenerator<Extent[]> {
  const { geometry } = map;
  const tables = coalesced(source, TABLE_LIMITS);
  const context: Qcow1Context = { geometry, fileSize: source.size, warn };
  const joiner = new ExtentJoiner();
  const end = Math.ceil(range.end / l2CoverageOf(geometry));
  const fetch = (window: Window) => fetchWindow(tables, geometry, window, signal);
  const windows = pMapIterable(windowsOf(map, range, { signal, warn }), fetch, {
    concurrency: WINDOWS_AHEAD,
    backpressure: WINDOWS_AHEAD,
  });
  for await (const window of windows) {
    decodeWindow(window, range, context, joiner);
    const batch = window.to === end ? joiner.finish() : joiner.take();
    if (batch.length > 0) yield batch;
  }
}

/** L1 indexes `[from, to)`, and where their tables lie. */
interface Window extends L2Tables {
  readonly from: number;
  readonly to: number;
}

async function* windowsOf(map: Qcow1Map, range: ByteRange, options: ExtentOptions): AsyncGenerator<Window> {
  if ('l2Offsets' in map) yield* cut(map, map.geometry, range);
  else for await (const tables of l2Windows(map.image, range, options)) yield* cut(tables, map.geometry, range);
}

/** Cuts the tables that the range needs into windows. Tables that do not exist cost nothing and do not count. */
function* cut({ firstTable, l2Offsets }: L2Tables, geometry: Qcow1Geometry, range: ByteRange): Generator<Window> {
  const perWindow = WINDOW_BYTES / l2BytesOf(geometry);
  const coverage = l2CoverageOf(geometry);
  const end = Math.min(Math.ceil(range.end / coverage), firstTable + l2Offsets.length);
  let from = Math.max(Math.floor(range.start / coverage), firstTable);
  let tables = 0;
  for (let index = from; index < end; index += 1) {
    if (l2Offsets[index - firstTable] !== 0) tables += 1;
    if (tables < perWindow) continue;
    yield { from, to: index + 1, firstTable, l2Offsets };
    from = index + 1;
    tables = 0;
  }
  if (from < end) yield { from, to: end, firstTable, l2Offsets };
}

/** The tables that exist, by their L1 index, ascending. */
interface FetchedWindow {
  readonly from: number;
  readonly to: number;
  readonly tables: readonly (readonly [l1Index: number, table: DataView])[];
}

async function fetchWindow(
  source: ByteSource,
  geometry: Qcow1Geometry,
  { from, to, firstTable, l2Offsets }: Window,
  signal: AbortSignal | undefined,
): Promise<FetchedWindow> {
  const fetched: Promise<[number, DataView]>[] = [];
  for (let index = from; index < to; index += 1) {
    const start = l2Offsets[index - firstTable] ?? 0;
    if (start === 0) continue;
    const end = Math.min(start + l2BytesOf(geometry), source.size);
    fetched.push(source.read({ start, end }, { signal }).then((bytes) => [index, viewOf(bytes)]));
  }
  return { from, to, tables: await Promise.all(fetched) };
}

/** What lies between tables is taken in one step: 152 TiB of disk have 80 million L1 entries, most of them 0. */
function decodeWindow(
  { from, to, tables }: FetchedWindow,
  range: ByteRange,
  context: Qcow1Context,
  joiner: ExtentJoiner,
) {
  const coverage = l2CoverageOf(context.geometry);
  const clusterSize = 2 ** context.geometry.clusterBits;
  let done = Math.max(range.start, from * coverage);
  for (const [l1Index, table] of tables) {
    const base = l1Index * coverage;
    if (done < base) joiner.unallocated(done, base);
    const guest = Math.max(range.start, base);
    done = Math.min(range.end, base + coverage);
    const [first, end] = [Math.floor((guest - base) / clusterSize), Math.ceil((done - base) / clusterSize)];
    decodeQcow1L2({ table, l1Index, from: first, to: end, guest }, context, joiner);
  }
  const end = Math.min(range.end, to * coverage);
  if (done < end) joiner.unallocated(done, end);
}
