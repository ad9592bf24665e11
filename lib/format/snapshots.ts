import { UnqcowError, type WarningCode } from '../errors.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { KiB, MiB } from '../units.ts';
import type { Image } from './image.ts';
import { FORMAT_LIMITS } from './limits.ts';
import { untilNul } from './qemu-text.ts';
import {
  partsOf,
  readSnapshotRecord,
  SNAPSHOT_HEADER_BYTES,
  type SnapshotRecord,
  saysDiskSize,
} from './snapshot-record.ts';
import { viewOf } from './struct.ts';

/** What is read of the table at first, where its entries' fixed parts are not longer. */
const FIRST_READ = 64 * KiB;
const MAX_TABLE = 64 * MiB;
const MAX_EXTRA_DATA = 1024;

/**
 * The internal snapshots of an image, oldest first as they were written. Holds the table's bytes, 64 MiB at most, and
 * reads an entry when it is asked for: 65,536 of them cost no more than what is looked at.
 */
export class SnapshotTable {
  /** How many snapshots there are to list: none if the table is damaged. */
  readonly count: number;
  /** The table's length in bytes, from the first entry's start to the last one's end. */
  readonly length: number;
  /** Host offset of the table, in bytes. */
  readonly offset: number;
  /** What is wrong with the table, if anything: why there is no snapshot to choose. */
  readonly fault: UnqcowError | undefined;
  /** Whether the data lies in another file. QEMU then lists no snapshots, and none can be read. */
  readonly hasDataFile: boolean;
  readonly #bytes: Uint8Array;
  readonly #starts: Uint32Array;

  constructor(image: Pick<Image, 'dataFile'>, offset: number, { bytes, starts }: Scanned, fault?: UnqcowError) {
    this.count = starts.length;
    this.length = bytes.length;
    this.offset = offset;
    this.fault = fault;
    this.hasDataFile = image.dataFile !== undefined;
    this.#bytes = bytes;
    this.#starts = starts;
  }

  /** @throws RangeError if there is no such entry. */
  at(index: number): SnapshotRecord {
    const start = this.#starts[index];
    if (start === undefined) throw new RangeError(`there is no snapshot ${index}`);
    return readSnapshotRecord(this.#bytes, start, index);
  }

  /** The entries from `offset` on, `limit` of them at most. */
  *entries(offset = 0, limit = this.count): Generator<SnapshotRecord> {
    const end = Math.min(this.count, offset + limit);
    for (let i = offset; i < end; i += 1) yield this.at(i);
  }
}

interface Scanned {
  readonly bytes: Uint8Array;
  /** Where each entry starts, as an offset into `bytes`. */
  readonly starts: Uint32Array;
}

const NOTHING: Scanned = { bytes: new Uint8Array(0), starts: new Uint32Array(0) };

/**
 * Reads the snapshot table. It does not say how long it is: one read of 64 KiB is enough for some 600 snapshots, and each
 * further read doubles what is there, up to 64 MiB and never past the file's end. No reads where there are no snapshots.
 *
 * A damaged table does not touch the disk's own bytes: it warns, the list is empty, and `findSnapshot` says why. Warns
 * also of ids that repeat, and of snapshots that do not say how large their disk was.
 *
 * @see qcow2.rst § Snapshots
 */
export async function readSnapshots(
  image: Image,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<SnapshotTable> {
  const { header } = image;
  if (header.nbSnapshots === 0) return new SnapshotTable(image, 0, NOTHING);
  try {
    checkPlace(image);
    const offset = Number(header.snapshotsOffset);
    const table = new SnapshotTable(image, offset, await readTable(image, offset, signal));
    warnAboutTable(image, table);
    return table;
  } catch (error) {
    if (!(error instanceof UnqcowError) || !isTableFault(error.code)) throw error;
    warnOnce(image, error.code, error.message, error.at);
    return new SnapshotTable(image, 0, NOTHING, error);
  }
}

const TABLE_FAULTS = [
  'SNAPSHOT_TABLE_TOO_LARGE',
  'BAD_SNAPSHOT_TABLE',
  'SNAPSHOT_TABLE_BEYOND_EOF',
  'SNAPSHOT_EXTRA_TOO_LARGE',
] as const;
type TableFault = (typeof TABLE_FAULTS)[number];

function isTableFault(code: string): code is TableFault {
  return TABLE_FAULTS.includes(code as TableFault);
}

/** What can be told of the table's place without reading it. */
function checkPlace({ header, fileSize }: Image): void {
  const { nbSnapshots: count, snapshotsOffset: offset, clusterBits } = header;
  if (count > FORMAT_LIMITS.maxSnapshots) {
    const message = `${count} snapshots are more than ${FORMAT_LIMITS.maxSnapshots}`;
    throw new UnqcowError('SNAPSHOT_TABLE_TOO_LARGE', message, { at: 'header.nb_snapshots' });
  }
  const least = BigInt(count * SNAPSHOT_HEADER_BYTES);
  const at = 'header.snapshots_offset';
  if (offset % (1n << BigInt(clusterBits)) !== 0n || offset + least > FORMAT_LIMITS.maxOffset) {
    throw new UnqcowError('BAD_SNAPSHOT_TABLE', `the snapshot table cannot lie at ${offset}`, { at });
  }
  if (offset + least > fileSize) {
    const message = `${count} snapshots at ${offset} run past the file's ${fileSize} bytes`;
    throw new UnqcowError('SNAPSHOT_TABLE_BEYOND_EOF', message, { at });
  }
}

async function readTable({ source, header }: Image, offset: number, signal?: AbortSignal): Promise<Scanned> {
  const starts = new Uint32Array(header.nbSnapshots);
  const there = source.size - offset;
  const limit = Math.min(there, MAX_TABLE);
  let bytes: Uint8Array = new Uint8Array(0);
  let found = 0;
  let at = 0;
  for (let length = Math.max(FIRST_READ, starts.length * SNAPSHOT_HEADER_BYTES); ; length = bytes.length * 2) {
    bytes = await grown(source, offset, bytes, Math.min(length, limit), signal);
    const view = viewOf(bytes);
    let end = at;
    while (found < starts.length && at + SNAPSHOT_HEADER_BYTES <= bytes.length) {
      end = checkedEnd(view, at, found);
      if (end > bytes.length) break;
      starts[found] = at;
      found += 1;
      at = Math.ceil(end / 8) * 8;
    }
    if (found === starts.length) return { bytes: bytes.subarray(0, end), starts };
    if (bytes.length < limit) continue;
    const where = { at: `snapshots[${found}]` };
    if (there <= MAX_TABLE) {
      const message = `snapshot ${found} of ${starts.length} runs past the file's ${source.size} bytes`;
      throw new UnqcowError('SNAPSHOT_TABLE_BEYOND_EOF', message, where);
    }
    const message = `${starts.length} snapshots take more than 64 MiB`;
    throw new UnqcowError('SNAPSHOT_TABLE_TOO_LARGE', message, where);
  }
}

/** Where the entry at `at` ends, its fixed part being there. */
function checkedEnd(view: DataView, at: number, index: number): number {
  const { extraDataSize, end } = partsOf(view, at);
  if (extraDataSize <= MAX_EXTRA_DATA) return end;
  throw new UnqcowError('SNAPSHOT_EXTRA_TOO_LARGE', `${extraDataSize} bytes are more than ${MAX_EXTRA_DATA}`, {
    at: `snapshots[${index}].extra_data_size`,
  });
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

function warnAboutTable(image: Image, table: SnapshotTable): void {
  const ids = new Set<string>();
  const repeated: number[] = [];
  const sizeless: number[] = [];
  for (const { index, id, diskSize } of table.entries()) {
    const text = Buffer.from(untilNul(id)).latin1Slice();
    if (ids.has(text)) repeated.push(index);
    ids.add(text);
    if (diskSize === undefined) sizeless.push(index);
  }
  const warn = (code: WarningCode, what: string, [first, ...more]: readonly number[], field: string) => {
    if (first === undefined) return;
    const others = more.length > 0 ? ` (and ${more.length} more)` : '';
    warnOnce(image, code, `snapshot ${first} ${what}${others}`, `snapshots[${first}].${field}`);
  };
  warn('DUPLICATE_SNAPSHOT_ID', 'has the id of an earlier one', repeated, 'id');
  warn('SNAPSHOT_WITHOUT_DISK_SIZE', 'does not say how large its disk was', sizeless, 'disk_size');
  if (!table.hasDataFile) return;
  const message = 'the data lies in another file, which has no snapshots: those that are listed cannot be read';
  warnOnce(image, 'BAD_SNAPSHOT_TABLE', message, 'header.nb_snapshots');
}

/** Opening the image may have warned already, and so may an earlier reading of the table. */
function warnOnce({ warnings }: Image, code: WarningCode, message: string, at: string | undefined): void {
  if (warnings.list().some((warning) => warning.code === code)) return;
  warnings.add(at === undefined ? { code, message } : { code, message, at });
}
