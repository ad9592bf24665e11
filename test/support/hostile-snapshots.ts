import { AT, type ImageSpec, padded, u64s } from './hostile.ts';

/** Where the hand-made tables lie: two clusters of data come before. */
export const SNAPSHOT_TABLE = 0x7000;
export const NO_ICOUNT = 2n ** 64n - 1n;

/** A snapshot, told by how it differs from one of the whole disk as it is. */
export interface SnapshotEntry {
  readonly l1?: number | bigint;
  readonly l1Size?: number;
  readonly id?: string | Uint8Array;
  readonly name?: string | Uint8Array;
  readonly clock?: bigint;
  readonly vmStateSize?: number;
  readonly extra?: Uint8Array;
  /** What it says of lengths, where that is not the truth. */
  readonly extraSize?: number;
  readonly idSize?: number;
}

/** VM state size, disk size, icount. */
const SNAPSHOT_EXTRA = u64s([0n, 0x10000n, NO_ICOUNT]);

export function snapshotBytes(entry: SnapshotEntry, index: number): Buffer {
  const { id = `${index + 1}`, name = `snapshot ${index + 1}`, extra = SNAPSHOT_EXTRA } = entry;
  const [idBytes, nameBytes] = [Buffer.from(id as string), Buffer.from(name as string)];
  const head = Buffer.alloc(40);
  head.writeBigUInt64BE(BigInt(entry.l1 ?? AT.l1), 0);
  head.writeUInt32BE(entry.l1Size ?? 1, 8);
  head.writeUInt16BE(entry.idSize ?? idBytes.length, 12);
  head.writeUInt16BE(nameBytes.length, 14);
  head.writeUInt32BE(1_700_000_000 + index, 16);
  head.writeUInt32BE(987_654_321, 20);
  head.writeBigUInt64BE(entry.clock ?? 5_000_000_007n, 24);
  head.writeUInt32BE(entry.vmStateSize ?? 0, 32);
  head.writeUInt32BE(entry.extraSize ?? extra.length, 36);
  return padded(Buffer.concat([head, extra, idBytes, nameBytes]), 8);
}

const snapshotTableBytes = (entries: readonly SnapshotEntry[]) => Buffer.concat(entries.map(snapshotBytes));

/** An image that has these snapshots. */
export function withSnapshots(entries: readonly SnapshotEntry[], spec: ImageSpec = {}): ImageSpec {
  const table = snapshotTableBytes(entries);
  return {
    fileSize: SNAPSHOT_TABLE + table.length,
    patches: { [SNAPSHOT_TABLE]: table },
    ...spec,
    header: { nbSnapshots: entries.length, snapshotsOffset: SNAPSHOT_TABLE, ...spec.header },
  };
}
