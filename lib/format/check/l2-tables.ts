import { pMapIterable } from 'p-map';
import type { ByteRange } from '../../ranges.ts';
import type { ByteSource } from '../../source/byte-source.ts';
import { zeroPadded } from '../../source/zero-padded.ts';
import { MiB } from '../../units.ts';
import { COPIED } from '../entry-bits.ts';
import { viewOf } from '../struct.ts';
import { overlay, type Segment } from './overlay.ts';

/** An L2 table, and how often it is named. */
export interface L2Table {
  /** Host offset in bytes, as it is written. */
  readonly offset: number;
  /** The first entry of the active L1 table that names it, if any does. */
  l1Index: number | undefined;
  /** Entries of the active L1 table that name it; of them, those with the copied flag. */
  active: number;
  copied: number;
  /** Entries of snapshots' L1 tables that name it. */
  inactive: number;
}

/** The L1 tables are read so many bytes at a time, and so many windows ahead. */
const WINDOW_BYTES = MiB;
const WINDOWS_AHEAD = 4;

export interface L1Tables {
  readonly active: ByteRange;
  readonly inactive: readonly ByteRange[];
}

export interface GatherOptions {
  /** L2 tables that are held at a time. */
  readonly most: number;
  /** Where the L2 table lies that an entry names. */
  readonly offsetOf: (hi: number, lo: number) => number;
  /** Told of each entry that is not 0, once, however many batches there are. */
  readonly onEntry?: ((entry: L1Entry, place: string) => void) | undefined;
  /** Told of each entry whose table the file does not have: such tables are not worth holding. */
  readonly onBeyond?: ((table: L2Table) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds every L2 table that any L1 table names, each once, in the order of the file. What several snapshots share is read
 * once. Where there are more than `most` tables they come in batches, and the L1 tables are read again for each.
 *
 * Memory: some 200 bytes for each of up to `2 * most` tables.
 */
export async function* l2Tables(
  source: ByteSource,
  l1: L1Tables,
  { most, offsetOf, onEntry, onBeyond, signal }: GatherOptions,
): AsyncGenerator<readonly L2Table[]> {
  for (let from = 0, isFirst = true; ; isFirst = false) {
    const gathering = new Gathering(from, most);
    const take = (read: Omit<L1Entry, 'offset'>, isActive: boolean) => {
      const entry = { ...read, offset: offsetOf(read.hi, read.lo) };
      if (isFirst) onEntry?.(entry, isActive ? `l1[${entry.index}]` : `file[${entry.at}]`);
      if (entry.offset < source.size) gathering.add(entry, isActive);
      else if (isFirst) onBeyond?.(named(newTable(entry.offset), entry, isActive));
    };
    await readEntries(source, [{ ...l1.active, times: 1 }], signal, (entry) => take(entry, true));
    await readEntries(source, overlay(l1.inactive), signal, (entry) => take(entry, false));
    const tables = gathering.finish();
    if (tables.length > 0) yield tables;
    if (gathering.end === Number.POSITIVE_INFINITY) return;
    from = gathering.end;
  }
}

/** An L1 entry that is not 0. */
export interface L1Entry {
  /** Its host offset, and its place in the table it was read from. */
  readonly at: number;
  readonly index: number;
  /** How many tables it is part of. */
  readonly times: number;
  readonly hi: number;
  readonly lo: number;
  /** Where the L2 table lies. */
  readonly offset: number;
}

async function readEntries(
  source: ByteSource,
  segments: readonly Segment[],
  signal: AbortSignal | undefined,
  use: (entry: Omit<L1Entry, 'offset'>) => void,
): Promise<void> {
  const padded = zeroPadded(source);
  const read = async (window: Segment & { readonly base: number }) => {
    return { window, view: viewOf(await padded.read(window, { signal })) };
  };
  const windows = pMapIterable(windowsOf(segments, source.size), read, {
    concurrency: WINDOWS_AHEAD,
    backpressure: WINDOWS_AHEAD,
  });
  for await (const { window, view } of windows) {
    for (let i = 0; i < view.byteLength; i += 8) {
      const hi = view.getUint32(i);
      const lo = view.getUint32(i + 4);
      if (hi === 0 && lo === 0) continue;
      const at = window.start + i;
      use({ at, index: (at - window.base) / 8, times: window.times, hi, lo });
    }
  }
}

/** In whole entries, wherever the table starts. What the file does not have of them is zeros, and names nothing. */
function* windowsOf(segments: readonly Segment[], size: number): Generator<Segment & { readonly base: number }> {
  for (const { start, end, times } of segments) {
    const last = Math.min(end, start + Math.ceil((size - start) / 8) * 8);
    for (let at = start; at < last; at += WINDOW_BYTES) {
      yield { start: at, end: Math.min(at + WINDOW_BYTES, last), times, base: start };
    }
  }
}

const newTable = (offset: number): L2Table => ({ offset, l1Index: undefined, active: 0, copied: 0, inactive: 0 });

/** Adds that an entry names the table. */
function named(table: L2Table, { index, hi, times }: L1Entry, isActive: boolean): L2Table {
  if (!isActive) {
    table.inactive += times;
    return table;
  }
  table.l1Index ??= index;
  table.active += 1;
  if ((hi & COPIED) !== 0) table.copied += 1;
  return table;
}

/** The tables with the smallest offsets from `from` on: no more than twice `most` at any time. */
class Gathering {
  /** Tables from here on are left for the next batch. */
  end = Number.POSITIVE_INFINITY;
  readonly #from: number;
  readonly #most: number;
  #tables = new Map<number, L2Table>();

  constructor(from: number, most: number) {
    this.#from = from;
    this.#most = most;
  }

  add(entry: L1Entry, isActive: boolean): void {
    const table = this.#table(entry.offset);
    if (table) named(table, entry, isActive);
  }

  finish(): L2Table[] {
    if (this.#tables.size > this.#most) this.#shrink();
    return this.#sorted();
  }

  #table(offset: number): L2Table | undefined {
    if (offset < this.#from || offset >= this.end) return undefined;
    const known = this.#tables.get(offset);
    if (known) return known;
    if (this.#tables.size >= this.#most * 2) {
      this.#shrink();
      if (offset >= this.end) return undefined;
    }
    const table = newTable(offset);
    this.#tables.set(offset, table);
    return table;
  }

  #shrink(): void {
    const sorted = this.#sorted();
    this.end = (sorted[this.#most] as L2Table).offset;
    this.#tables = new Map(sorted.slice(0, this.#most).map((table) => [table.offset, table]));
  }

  #sorted(): L2Table[] {
    return [...this.#tables.values()].sort((a, b) => a.offset - b.offset);
  }
}
