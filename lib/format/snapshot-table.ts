import { UnqcowError, type Warning } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { KiB, MiB } from '../units.ts';
import type { Header } from './header.ts';
import { FORMAT_LIMITS } from './limits.ts';
import { untilNul } from './qemu-text.ts';
import {
  partsOf,
  readSnapshotRecord,
  SNAPSHOT_HEADER_BYTES,
  type SnapshotParts,
  type SnapshotRecord,
} from './snapshot-record.ts';
import { viewOf } from './struct.ts';

/** What is read of the table at first, unless its entries' fixed parts alone are longer. */
const FIRST_READ = 64 * KiB;
const MAX_TABLE = 64 * MiB;
const MAX_EXTRA_DATA = 1024;

/**
 * The internal snapshots of an image, in the order of the file. Holds the table's bytes, 64 MiB at most, and reads an
 * entry when it is asked for: of 65,536 entries only those that are looked at cost anything.
 */
export class SnapshotTable {
  /** How many snapshots there are to list: none if the table is damaged. */
  readonly count: number;
  /** Where the table lies, as host offsets, from the first entry's start to the last one's end. */
  readonly range: ByteRange;
  /** What is wrong with the table, if anything: why there is no snapshot to choose. */
  readonly fault: UnqcowError | undefined;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #starts: Uint32Array;

  private constructor(offset: number, bytes: Uint8Array, starts: Uint32Array, fault?: UnqcowError) {
    this.count = starts.length;
    this.range = { start: offset, end: offset + bytes.length };
    this.fault = fault;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#starts = starts;
  }

  /** A table of no entries, or one that cannot be listed. */
  static empty(fault?: UnqcowError): SnapshotTable {
    return new SnapshotTable(0, new Uint8Array(0), new Uint32Array(0), fault);
  }

  /**
   * Reads the table, whose place `checkSnapshotTable` found sound. It does not say how long it is: one read of 64 KiB, or
   * of 40 bytes an entry where that is more, and while that is not enough another one that doubles it.
   *
   * @throws UnqcowError `SNAPSHOT_TABLE_TOO_LARGE`, `SNAPSHOT_TABLE_BEYOND_EOF`, `SNAPSHOT_EXTRA_TOO_LARGE`.
   */
  static async read(source: ByteSource, header: Header, signal?: AbortSignal): Promise<SnapshotTable> {
    const offset = Number(header.snapshotsOffset);
    const starts = new Uint32Array(header.nbSnapshots);
    const limit = Math.min(source.size - offset, MAX_TABLE);
    let bytes: Uint8Array = new Uint8Array(0);
    let found = { count: 0, end: 0 };
    for (let length = Math.max(FIRST_READ, starts.length * SNAPSHOT_HEADER_BYTES); ; length = bytes.length * 2) {
      bytes = await grown(source, offset, bytes, Math.min(length, limit), signal);
      found = scan(viewOf(bytes), starts, found);
      if (found.count === starts.length) return new SnapshotTable(offset, bytes.subarray(0, found.end), starts);
      if (bytes.length === limit) throw cutOff(found.count, starts.length, source.size - offset);
    }
  }

  /** @throws RangeError if there is no such entry. */
  at(index: number): SnapshotRecord {
    return readSnapshotRecord(this.#bytes, this.#start(index), index);
  }

  /** Which of an entry's parts are where, as offsets into the table. */
  partsAt(index: number): SnapshotParts {
    return partsOf(this.#view, this.#start(index));
  }

  /** An entry's id or name as QEMU compares it: its bytes up to the first NUL. */
  textAt(index: number, part: 'id' | 'name'): Uint8Array {
    const { id, name, end } = this.partsAt(index);
    return untilNul(part === 'id' ? this.#bytes.subarray(id, name) : this.#bytes.subarray(name, end));
  }

  #start(index: number): number {
    const start = this.#starts[index];
    if (start === undefined) throw new RangeError(`there is no snapshot ${index}`);
    return start;
  }
}

interface TableFault extends Warning {
  readonly code: 'SNAPSHOT_TABLE_TOO_LARGE' | 'BAD_SNAPSHOT_TABLE';
  readonly at: string;
}

/** Why the header cannot be true of any table, in a file of whatever length. */
export function snapshotTableFault(header: Header): TableFault | undefined {
  const { nbSnapshots: count, snapshotsOffset: offset, clusterBits } = header;
  if (count > FORMAT_LIMITS.maxSnapshots) {
    const message = `${count} snapshots are more than ${FORMAT_LIMITS.maxSnapshots}`;
    return { code: 'SNAPSHOT_TABLE_TOO_LARGE', message, at: 'header.nb_snapshots' };
  }
  const isAligned = offset % (1n << BigInt(clusterBits)) === 0n;
  if (isAligned && offset + leastBytes(header) <= FORMAT_LIMITS.maxOffset) return undefined;
  return {
    code: 'BAD_SNAPSHOT_TABLE',
    message: `the snapshot table cannot lie at ${offset}`,
    at: 'header.snapshots_offset',
  };
}

const leastBytes = ({ nbSnapshots }: Header) => BigInt(nbSnapshots * SNAPSHOT_HEADER_BYTES);

/**
 * What can be told of the table without reading it.
 *
 * @throws UnqcowError `SNAPSHOT_TABLE_TOO_LARGE`, `BAD_SNAPSHOT_TABLE`, `SNAPSHOT_TABLE_BEYOND_EOF`.
 */
export function checkSnapshotTable(header: Header, fileSize: number): void {
  const { nbSnapshots: count, snapshotsOffset: offset } = header;
  const fault = snapshotTableFault(header);
  if (fault) throw new UnqcowError(fault.code, fault.message, { at: fault.at });
  if (offset + leastBytes(header) > fileSize) {
    const message = `${count} snapshots at ${offset} run past the file's ${fileSize} bytes`;
    throw new UnqcowError('SNAPSHOT_TABLE_BEYOND_EOF', message, { at: 'header.snapshots_offset' });
  }
}

interface Found {
  readonly count: number;
  /** Where the last entry ends, as an offset into the table. */
  readonly end: number;
}

/** Goes on to find where entries start, as far as they are there whole. */
function scan(view: DataView, starts: Uint32Array, { count, end }: Found): Found {
  let found = count;
  let last = end;
  for (; found < starts.length; found += 1) {
    const at = Math.ceil(last / 8) * 8;
    if (at + SNAPSHOT_HEADER_BYTES > view.byteLength) break;
    const parts = partsOf(view, at);
    if (parts.extraDataSize > MAX_EXTRA_DATA) {
      const message = `${parts.extraDataSize} bytes are more than ${MAX_EXTRA_DATA}`;
      throw new UnqcowError('SNAPSHOT_EXTRA_TOO_LARGE', message, { at: `snapshots[${found}].extra_data_size` });
    }
    if (parts.end > view.byteLength) break;
    starts[found] = at;
    last = parts.end;
  }
  return { count: found, end: last };
}

/** The table's first `length` bytes, of which `had` are there already. */
async function grown(
  source: ByteSource,
  offset: number,
  had: Uint8Array,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const range = { start: offset + had.length, end: offset + length };
  if (had.length === 0) return source.read(range, { signal });
  const bytes = new Uint8Array(length);
  bytes.set(had);
  await source.read(range, { signal, into: bytes.subarray(had.length) });
  return bytes;
}

function cutOff(index: number, count: number, there: number): UnqcowError {
  const at = `snapshots[${index}]`;
  if (there > MAX_TABLE) {
    return new UnqcowError('SNAPSHOT_TABLE_TOO_LARGE', `${count} snapshots take more than ${MAX_TABLE} bytes`, { at });
  }
  const message = `snapshot ${index} of ${count} runs past the end of the file`;
  return new UnqcowError('SNAPSHOT_TABLE_BEYOND_EOF', message, { at });
}
