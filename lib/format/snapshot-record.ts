import { readStruct, viewOf } from './struct.ts';

/** qcow2.rst § Snapshots, the fixed part of an entry. After it: extra data, the id, the name, and bytes up to 8. */
const SNAPSHOT_HEADER = {
  l1TableOffset: [0, 'u64'],
  l1Size: [8, 'u32'],
  idSize: [12, 'u16'],
  nameSize: [14, 'u16'],
  dateSec: [16, 'u32'],
  dateNsec: [20, 'u32'],
  vmClockNsec: [24, 'u64'],
  vmStateSize: [32, 'u32'],
  extraDataSize: [36, 'u32'],
} as const;

export const SNAPSHOT_HEADER_BYTES = 40;

/** The extra data that is defined. An image has as much of it as its writer knew of; a field that is cut off is none. */
const VM_STATE_SIZE_END = 8;
const DISK_SIZE_END = 16;
const ICOUNT_END = 24;

/** One entry of the snapshot table, as written; nothing is rounded or corrected. */
export interface SnapshotRecord {
  /** Its place in the table, from 0. */
  readonly index: number;
  /** Host offset of its L1 table, in bytes. */
  readonly l1TableOffset: bigint;
  /** Entries in its L1 table, those of its VM state included. */
  readonly l1Size: number;
  readonly dateSec: number;
  readonly dateNsec: number;
  /** How long the guest had run, in nanoseconds. */
  readonly vmClockNsec: bigint;
  /** Bytes of VM state, which lies past the disk's end and is no part of it: the extra data's, else the header's. */
  readonly vmStateSize: bigint;
  /** The header's own field: 0 where the size does not fit. */
  readonly vmStateSize32: number;
  /** Bytes of disk, or nothing where the extra data does not say. */
  readonly diskSize: bigint | undefined;
  /** Instructions that the guest had run, where that is recorded: all ones say that it is not. */
  readonly icount: bigint | undefined;
  readonly extraDataSize: number;
  /** The extra data past what is defined. */
  readonly unknownExtraData: Uint8Array;
  readonly id: Uint8Array;
  readonly name: Uint8Array;
}

/** Where the parts of the entry at `at` lie, as offsets into the table; only its fixed part must be there. */
export interface SnapshotParts {
  readonly extraDataSize: number;
  readonly id: number;
  readonly name: number;
  readonly end: number;
}

export function partsOf(view: DataView, at: number): SnapshotParts {
  const extraDataSize = view.getUint32(at + SNAPSHOT_HEADER.extraDataSize[0]);
  const id = at + SNAPSHOT_HEADER_BYTES + extraDataSize;
  const name = id + view.getUint16(at + SNAPSHOT_HEADER.idSize[0]);
  return { extraDataSize, id, name, end: name + view.getUint16(at + SNAPSHOT_HEADER.nameSize[0]) };
}

/** Whether an entry says how large its disk was. */
export function saysDiskSize({ extraDataSize }: SnapshotParts): boolean {
  return extraDataSize >= DISK_SIZE_END;
}

/** Reads the entry at `at`, all of which must be there. */
export function readSnapshotRecord(table: Uint8Array, at: number, index: number): SnapshotRecord {
  const view = viewOf(table);
  const { l1TableOffset, l1Size, dateSec, dateNsec, vmClockNsec, ...header } = readStruct(view, SNAPSHOT_HEADER, at);
  const parts = partsOf(view, at);
  const extra = at + SNAPSHOT_HEADER_BYTES;
  const size = header.extraDataSize;
  const icount = size >= ICOUNT_END ? view.getBigUint64(extra + DISK_SIZE_END) : undefined;
  return {
    index,
    l1TableOffset,
    l1Size,
    dateSec,
    dateNsec,
    vmClockNsec,
    vmStateSize: size >= VM_STATE_SIZE_END ? view.getBigUint64(extra) : BigInt(header.vmStateSize),
    vmStateSize32: header.vmStateSize,
    diskSize: size >= DISK_SIZE_END ? view.getBigUint64(extra + VM_STATE_SIZE_END) : undefined,
    icount: icount === 2n ** 64n - 1n ? undefined : icount,
    extraDataSize: size,
    unknownExtraData: table.subarray(Math.min(extra + ICOUNT_END, parts.id), parts.id),
    id: table.subarray(parts.id, parts.name),
    name: table.subarray(parts.name, parts.end),
  };
}
