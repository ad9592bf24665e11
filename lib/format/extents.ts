import { pMapIterable } from 'p-map';
import type { Warning } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { coalesced } from '../source/coalesced.ts';
import { KiB, MiB } from '../units.ts';
import { type Extent, ExtentJoiner } from './extent.ts';
import { clusterSizeOf, l2CoverageOf, l2EntriesOf, type Qcow2Geometry } from './geometry.ts';
import { decodeL2, type L2Context } from './l2.ts';
import { viewOf } from './struct.ts';

/** All that is needed to find an image's guest bytes, without reading a header or an L1 table again. */
export interface Qcow2Map {
  readonly geometry: Qcow2Geometry;
  /** The L1 index of the first of `l2Offsets`. */
  readonly firstTable: number;
  /** Host offsets of the L2 tables, 0 where there is none. */
  readonly l2Offsets: ArrayLike<number>;
}

export interface ExtentOptions {
  readonly signal?: AbortSignal | undefined;
  readonly warn?: (warning: Warning) => void;
  /** Length of the file that holds the clusters, where it is not the image itself. */
  readonly dataSize?: number | undefined;
}

/** L2 tables are fetched this many bytes at a time, and so many windows ahead of the one that is being decoded. */
const WINDOW_BYTES = 8 * MiB;
const WINDOWS_AHEAD = 4;
/** No more than these, since each may be a request. */
const WINDOW_TABLES = 256;
/** Two tables nearer than this are fetched by one request. */
const TABLE_LIMITS = { maxGap: 256 * KiB, maxLength: WINDOW_BYTES };

/**
 * Walks the guest disk in order and says what each stretch is made of. Neighbours of one kind come out as one, except
 * that a compressed extent ends with the window of tables that it was read in. Comes in batches, for speed.
 *
 * Reads each L2 table once — one cluster per `clusterSize² / 8` bytes of disk: 64 KiB per 512 MiB — neighbouring tables
 * by one request, at most 32 MiB ahead; and no guest data.
 *
 * @param range Guest bytes that `map` covers; starts and ends on a cluster, or at the disk's end.
 * @throws UnqcowError as `decodeL2` and the source do.
 * @see qcow2.rst § Cluster mapping
 */
export async function* extentBatches(
  source: ByteSource,
  map: Qcow2Map,
  range: ByteRange,
  { signal, warn = () => {}, dataSize = source.size }: ExtentOptions = {},
): AsyncGenerator<Extent[]> {
  const { geometry } = map;
  const tables = coalesced(source, TABLE_LIMITS);
  const context: L2Context = { geometry, fileSize: dataSize, warn };
  const joiner = new ExtentJoiner();
  const end = Math.ceil(range.end / l2CoverageOf(geometry));
  const windows = pMapIterable(windowsOf(map, range), (window) => fetchWindow(tables, map, window, signal), {
    concurrency: WINDOWS_AHEAD,
    backpressure: WINDOWS_AHEAD,
  });
  for await (const window of windows) {
    for (let index = window.from; index < window.to; index += 1) {
      decodeTable(window.tables.get(index), index, range, context, joiner);
    }
    // The last extent comes with its neighbours: alone, it would cost its reader a request of its own.
    const batch = window.to === end ? joiner.finish() : joiner.take();
    if (batch.length > 0) yield batch;
  }
}

/** L1 indexes `[from, to)`. */
interface Window {
  readonly from: number;
  readonly to: number;
}

/**
 * Cuts the tables that the range needs into windows, each of so many bytes to fetch: the tables, and the gaps that are
 * fetched with them. Tables that do not exist cost nothing and do not count.
 */
function* windowsOf({ geometry, firstTable, l2Offsets }: Qcow2Map, range: ByteRange): Generator<Window> {
  const tableBytes = clusterSizeOf(geometry);
  const coverage = l2CoverageOf(geometry);
  const end = Math.ceil(range.end / coverage);
  let from = Math.floor(range.start / coverage);
  let tables = 0;
  let bytes = 0;
  let last = Number.NaN; // where the table before lies
  for (let index = from; index < end; index += 1) {
    const offset = l2Offsets[index - firstTable] ?? 0;
    if (offset === 0) continue;
    const gap = Math.max(0, Math.abs(offset - last) - tableBytes);
    const cost = tableBytes + (gap <= TABLE_LIMITS.maxGap ? gap : 0);
    if (tables > 0 && (bytes + cost > WINDOW_BYTES || tables === WINDOW_TABLES)) {
      yield { from, to: index };
      from = index;
      tables = 0;
      bytes = 0;
    }
    tables += 1;
    bytes += cost;
    last = offset;
  }
  if (from < end) yield { from, to: end };
}

async function fetchWindow(source: ByteSource, map: Qcow2Map, { from, to }: Window, signal: AbortSignal | undefined) {
  const { geometry, firstTable, l2Offsets } = map;
  const fetched: Promise<[number, DataView]>[] = [];
  for (let index = from; index < to; index += 1) {
    const start = l2Offsets[index - firstTable] ?? 0;
    if (start === 0) continue;
    const end = Math.min(start + clusterSizeOf(geometry), source.size);
    fetched.push(source.read({ start, end }, { signal }).then((bytes) => [index, viewOf(bytes)]));
  }
  return { from, to, tables: new Map(await Promise.all(fetched)) };
}

function decodeTable(
  table: DataView | undefined,
  l1Index: number,
  range: ByteRange,
  context: L2Context,
  joiner: ExtentJoiner,
) {
  const { geometry } = context;
  const base = l1Index * l2CoverageOf(geometry);
  const start = Math.max(range.start, base);
  const end = Math.min(range.end, base + l2CoverageOf(geometry));
  if (!table) return joiner.unallocated(start, end);
  const clusterSize = clusterSizeOf(geometry);
  const from = Math.floor((start - base) / clusterSize);
  const to = Math.min(Math.ceil((end - base) / clusterSize), l2EntriesOf(geometry));
  decodeL2({ table, l1Index, from, to, guest: base + from * clusterSize }, context, joiner);
}
