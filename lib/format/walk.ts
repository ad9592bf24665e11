import { pMapIterable } from 'p-map';
import type { UnqcowError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { coalesced } from '../source/coalesced.ts';
import { inFlight } from '../source/in-flight.ts';
import { KiB, MiB } from '../units.ts';
import { type Extent, ExtentJoiner } from './extent.ts';
import { viewOf } from './struct.ts';

/** Stands for the offset in an L1 entry that lies past the end of the file. */
export const NOWHERE = Number.POSITIVE_INFINITY;

/** Where some neighbouring L2 tables lie. */
export interface L2Tables {
  /** The L1 index of the first of `l2Offsets`. */
  readonly firstTable: number;
  /** Host offsets of the L2 tables, 0 where there is none, `NOWHERE` where salvage finds no entry. */
  readonly l2Offsets: ArrayLike<number>;
}

/** A run of entries of one L2 table. */
export interface L2Run {
  /** These entries, and no others. */
  readonly entries: DataView;
  /** The table's index in the L1 table, for messages. */
  readonly l1Index: number;
  /** The first one's index in the table, for messages. */
  readonly first: number;
  /** Guest offset of the first one. */
  readonly guest: number;
  /** Set where the table is cut off or misplaced after these entries: why the rest cannot be read. */
  readonly fault?: UnqcowError | undefined;
}

/** What a version's L2 tables are like. */
export interface TableLayout {
  readonly clusterSize: number;
  readonly entryBytes: number;
  /** Guest bytes that one table maps. */
  readonly coverage: number;
  /** What entries mean. */
  readonly decode: (run: L2Run, into: ExtentJoiner) => void;
  /** For salvage: what is wrong with the table at this host offset, or nothing. Left out, all tables are known to be sound. */
  readonly damageOf?: ((l1Index: number, offset: number) => TableDamage | undefined) | undefined;
}

export interface TableDamage {
  readonly fault: UnqcowError;
  /** Host offset of the first entry that cannot be read. */
  readonly readable: number;
}

/** L2 tables are fetched in windows of this many bytes, up to four at a time. */
const WINDOW_BYTES = 8 * MiB;
const WINDOWS_AHEAD = 4;
const READS_IN_FLIGHT = 16;
/** A window takes no more of these. */
const WINDOW_REQUESTS = 256;
/** Entries that are decoded at a time, and extents that make a batch: one extended entry may be 32 of them. */
const ENTRIES_AT_A_TIME = 4096;
const BATCH = 65_536;
/** Two tables nearer than this are fetched by one request. */
const TABLE_LIMITS = { maxGap: 256 * KiB, maxLength: WINDOW_BYTES };

/**
 * Walks a stretch of the guest disk in order, table by table. Of each table the entries for the stretch are read and no
 * others, once: whoever walks a disk in small pieces pays for small pieces. What no table maps is unallocated, and taken
 * in one step: 152 TiB of a version 1 disk have 80 million L1 entries, most of them 0.
 *
 * Reads neighbouring tables by one request, at most 16 requests and 32 MiB at a time. Memory: a batch has fewer than
 * 200,000 extents, whatever the tables say.
 *
 * @param tables Where the tables for the stretch lie, in ascending order.
 * @param range Guest bytes; starts and ends on a cluster, or at the disk's end.
 * @throws UnqcowError as `layout.decode`, `tables` and the source do.
 */
export async function* walk(
  source: ByteSource,
  tables: Iterable<L2Tables> | AsyncIterable<L2Tables>,
  range: ByteRange,
  layout: TableLayout,
  signal?: AbortSignal,
): AsyncGenerator<Extent[]> {
  const joiner = new ExtentJoiner();
  const read = coalesced(inFlight(source, READS_IN_FLIGHT), TABLE_LIMITS);
  const fetched = pMapIterable(windowsOf(tables, range, layout), (window) => fetchWindow(read, window, signal), {
    concurrency: WINDOWS_AHEAD,
    backpressure: WINDOWS_AHEAD,
  });
  let done = range.start;
  for await (const { runs, end } of fetched) {
    for (const run of runs) {
      if (done < run.guest) joiner.unallocated(done, run.guest);
      for (const few of slicesOf(run, layout)) {
        layout.decode(few, joiner);
        if (joiner.count >= BATCH) yield joiner.take();
      }
      done = Math.min(range.end, (run.l1Index + 1) * layout.coverage);
      const readable = run.guest + (run.entries.byteLength / layout.entryBytes) * layout.clusterSize;
      if (run.fault && readable < done) joiner.lost(readable, done, run.fault);
    }
    if (done < end) joiner.unallocated(done, end);
    done = end;
    // The last extent comes with its neighbours: alone, it would cost its reader a request of its own.
    const batch = end === range.end ? joiner.finish() : joiner.take();
    if (batch.length > 0) yield batch;
  }
}

/** A run in pieces. */
function* slicesOf(run: L2Run, { entryBytes, clusterSize }: TableLayout): Generator<L2Run> {
  const { entries, first, guest } = run;
  const count = entries.byteLength / entryBytes;
  for (let i = 0; i < count; i += ENTRIES_AT_A_TIME) {
    const length = Math.min(ENTRIES_AT_A_TIME, count - i) * entryBytes;
    const few = new DataView(entries.buffer, entries.byteOffset + i * entryBytes, length);
    yield { ...run, entries: few, first: first + i, guest: guest + i * clusterSize };
  }
}

/** Entries of one table that are still to be fetched: `[start, end)` in the file. */
type StoredRun = Omit<L2Run, 'entries'> & ByteRange;

/** Runs that are fetched together, and the guest offset at which the stretch that they map ends. */
interface Window<Run> {
  readonly runs: readonly Run[];
  readonly end: number;
}

/**
 * Cuts the tables that the stretch needs into windows, each of so many bytes to fetch: the tables, and the gaps that are
 * fetched with them. Tables that do not exist cost nothing and do not count.
 */
async function* windowsOf(
  tables: Iterable<L2Tables> | AsyncIterable<L2Tables>,
  range: ByteRange,
  layout: TableLayout,
): AsyncGenerator<Window<StoredRun>> {
  let runs: StoredRun[] = [];
  let bytes = 0;
  let requests = 0;
  for await (const some of tables) {
    for (const run of runsOf(some, range, layout)) {
      const gap = gapBetween(runs.at(-1), run);
      const isNear = gap <= TABLE_LIMITS.maxGap;
      const cost = run.end - run.start + (isNear ? gap : 0);
      if (runs.length > 0 && (bytes + cost > WINDOW_BYTES || requests === WINDOW_REQUESTS)) {
        yield { runs, end: run.l1Index * layout.coverage };
        [runs, bytes, requests] = [[], 0, 0];
      }
      runs.push(run);
      bytes += cost;
      if (!isNear) requests += 1;
    }
  }
  if (range.start < range.end) yield { runs, end: range.end };
}

/** How far from each other two runs lie, in whichever order. */
function gapBetween(one: ByteRange | undefined, other: ByteRange): number {
  if (!one) return Number.POSITIVE_INFINITY;
  return Math.max(0, other.start - one.end, one.start - other.end);
}

/** What of some tables the stretch needs. */
function* runsOf(
  { firstTable, l2Offsets }: L2Tables,
  range: ByteRange,
  { clusterSize, entryBytes, coverage, damageOf }: TableLayout,
): Generator<StoredRun> {
  const stop = Math.min(Math.ceil(range.end / coverage), firstTable + l2Offsets.length);
  for (let l1Index = Math.max(Math.floor(range.start / coverage), firstTable); l1Index < stop; l1Index += 1) {
    const table = l2Offsets[l1Index - firstTable] as number;
    if (table === 0) continue;
    const base = l1Index * coverage;
    const guest = Math.max(range.start, base);
    const first = Math.floor((guest - base) / clusterSize);
    const count = Math.ceil(Math.min(range.end - base, coverage) / clusterSize) - first;
    const start = table + first * entryBytes;
    const end = start + count * entryBytes;
    const damage = damageOf?.(l1Index, table);
    if (damage) yield { l1Index, first, guest, ...whatIsThere({ start, end }, entryBytes, damage) };
    else yield { l1Index, first, guest, start, end };
  }
}

/** The whole entries before the damage; an empty range if there are none. */
function whatIsThere({ start, end }: ByteRange, entryBytes: number, { fault, readable }: TableDamage) {
  const count = Math.floor((Math.min(end, readable) - start) / entryBytes);
  return count > 0 ? { start, end: start + count * entryBytes, fault } : { start: 0, end: 0, fault };
}

async function fetchWindow(
  source: ByteSource,
  { runs, end }: Window<StoredRun>,
  signal: AbortSignal | undefined,
): Promise<Window<L2Run>> {
  const fetch = async ({ start, end, ...run }: StoredRun) => {
    const entries = viewOf(await source.read({ start, end }, { signal }));
    return { ...run, entries };
  };
  return { runs: await Promise.all(runs.map(fetch)), end };
}
