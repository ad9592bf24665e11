import { UnqcowError, type WarningCode, WarningCodes } from '../errors.ts';
import type { Image } from './image.ts';
import { type Page, paged } from './page.ts';
import { isWholeText, qemuText } from './qemu-text.ts';
import { type SnapshotRecord, saysDiskSize } from './snapshot-record.ts';
import { checkSnapshotTable, SnapshotTable } from './snapshot-table.ts';

/**
 * Reads the image's internal snapshots. Costs nothing where there are none; else one read of 64 KiB is enough for some
 * 700 of them, and each further read doubles what is there: up to 64 MiB, and never past the end of the file.
 *
 * A damaged table cannot change the disk's own bytes: the image gets a warning, the list is empty, and its `fault` says
 * why. Warns also of ids that repeat and of snapshots that do not say how large their disk was.
 *
 * @see qcow2.rst § Snapshots
 */
export async function readSnapshots(
  image: Image,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<SnapshotTable> {
  const { header, source, dataFile } = image;
  if (header.nbSnapshots === 0) return SnapshotTable.empty();
  try {
    checkSnapshotTable(header, source.size);
    const table = await SnapshotTable.read(source, header, signal);
    warnAboutEntries(image, table);
    if (dataFile) {
      const message = 'the data lies in another file, which has no snapshots: those that are listed cannot be read';
      warnOnce(image, 'BAD_SNAPSHOT_TABLE', message, 'header.nb_snapshots');
    }
    return table;
  } catch (error) {
    if (!(error instanceof UnqcowError && error.code in WarningCodes)) throw error;
    warnOnce(image, error.code as WarningCode, error.message, error.at);
    return SnapshotTable.empty(error);
  }
}

function warnAboutEntries(image: Image, table: SnapshotTable): void {
  const ids = new Set<string>();
  const repeated: number[] = [];
  const sizeless: number[] = [];
  for (let i = 0; i < table.count; i += 1) {
    const id = Buffer.from(table.textAt(i, 'id')).toString('latin1');
    if (ids.has(id)) repeated.push(i);
    else ids.add(id);
    if (!saysDiskSize(table.partsAt(i))) sizeless.push(i);
  }
  const warn = (code: WarningCode, what: string, [first, ...more]: readonly number[], field: string) => {
    if (first === undefined) return;
    const others = more.length > 0 ? ` (and ${more.length} more)` : '';
    warnOnce(image, code, `snapshot ${first} ${what}${others}`, `snapshots[${first}].${field}`);
  };
  warn('DUPLICATE_SNAPSHOT_ID', 'has the id of an earlier one', repeated, 'id');
  warn('SNAPSHOT_WITHOUT_DISK_SIZE', 'does not say how large its disk was', sizeless, 'disk_size');
}

/** Opening the image may have warned already, and so may an earlier reading of the table. */
function warnOnce({ warnings }: Image, code: WarningCode, message: string, at: string | undefined): void {
  if (warnings.list().some((warning) => warning.code === code)) return;
  warnings.add(at === undefined ? { code, message } : { code, message, at });
}

/** A snapshot as `qemu-img info --output=json` has it under `snapshots`. */
export interface QemuSnapshot {
  readonly id: string;
  readonly name: string;
  readonly 'vm-state-size': bigint;
  readonly 'date-sec': number;
  readonly 'date-nsec': number;
  readonly 'vm-clock-sec': bigint;
  readonly 'vm-clock-nsec': number;
  readonly icount?: bigint;
}

/** All that the table says of a snapshot. Bytes that are not text whole are there in hexadecimal, too. */
export interface SnapshotInfo {
  readonly index: number;
  readonly id: string;
  readonly 'id-bytes'?: string;
  readonly name: string;
  readonly 'name-bytes'?: string;
  /** Bytes of disk; missing where the table does not say. */
  readonly 'disk-size'?: bigint;
  readonly l1: { readonly offset: bigint; readonly entries: number };
  readonly 'date-sec': number;
  readonly 'date-nsec': number;
  readonly 'vm-clock-nsec': bigint;
  readonly 'vm-state-size': bigint;
  /** The same in the field that version 2 had for it. */
  readonly 'vm-state-size-32': number;
  readonly icount?: bigint;
  readonly 'extra-data-size': number;
  /** Extra data that is not defined, in hexadecimal. */
  readonly 'unknown-extra-data'?: string;
}

export interface SnapshotsInfo {
  /** How many snapshots there are; what is listed may be fewer. */
  readonly count: number;
  /** As QEMU lists them: none if the data lies in another file. */
  readonly qemu: readonly QemuSnapshot[];
  readonly records: readonly SnapshotInfo[];
  /** The offset at which the list goes on, if it does. */
  readonly next?: number | undefined;
}

/** Says what the snapshots are: costs nothing more, and time for what is listed only. */
export function describeSnapshots(
  { dataFile }: Pick<Image, 'dataFile'>,
  table: SnapshotTable,
  page: Page = {},
): SnapshotsInfo {
  const both = (index: number) => {
    const record = table.at(index);
    return { qemu: qemuSnapshot(record), record: snapshotInfo(record) };
  };
  const { items, next } = paged(table.count, both, page);
  return {
    count: table.count,
    qemu: dataFile ? [] : items.map(({ qemu }) => qemu),
    records: items.map(({ record }) => record),
    next,
  };
}

/** QEMU lists ids and names cut to what its own structures hold, one byte of which ends them. */
const QEMU_ID_BYTES = 127;
const QEMU_NAME_BYTES = 255;
const NANOSECONDS = 1_000_000_000n;

function qemuSnapshot({ id, name, icount, ...record }: SnapshotRecord): QemuSnapshot {
  return {
    ...(icount === undefined ? {} : { icount: BigInt.asIntN(64, icount) }),
    'vm-clock-nsec': Number(record.vmClockNsec % NANOSECONDS),
    name: qemuText(name.subarray(0, QEMU_NAME_BYTES)),
    'date-sec': record.dateSec,
    'date-nsec': record.dateNsec,
    'vm-clock-sec': record.vmClockNsec / NANOSECONDS,
    id: qemuText(id.subarray(0, QEMU_ID_BYTES)),
    'vm-state-size': BigInt.asIntN(64, record.vmStateSize),
  };
}

function snapshotInfo({ id, name, diskSize, icount, unknownExtraData, ...record }: SnapshotRecord): SnapshotInfo {
  return {
    index: record.index,
    id: qemuText(id),
    ...(isWholeText(id) ? {} : { 'id-bytes': hex(id) }),
    name: qemuText(name),
    ...(isWholeText(name) ? {} : { 'name-bytes': hex(name) }),
    ...(diskSize === undefined ? {} : { 'disk-size': diskSize }),
    l1: { offset: record.l1TableOffset, entries: record.l1Size },
    'date-sec': record.dateSec,
    'date-nsec': record.dateNsec,
    'vm-clock-nsec': record.vmClockNsec,
    'vm-state-size': record.vmStateSize,
    'vm-state-size-32': record.vmStateSize32,
    ...(icount === undefined ? {} : { icount }),
    'extra-data-size': record.extraDataSize,
    ...(unknownExtraData.length === 0 ? {} : { 'unknown-extra-data': hex(unknownExtraData) }),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
