import {
  AT,
  COPIED,
  compressedEntry,
  deflated,
  EXT,
  type ImageSpec,
  imageBytes,
  u64s,
  ZERO,
} from '../support/hostile.ts';
import { noise } from '../support/qemu.ts';

/** An image that is clean, and where it has tables to damage: each start and length, in bytes. */
export interface Target {
  readonly bytes: Uint8Array;
  readonly tables: readonly (readonly [start: number, length: number])[];
}

const STREAM = deflated(Buffer.from(noise(1500).toString('hex')));
const CLUSTER = 4096;
export const DATA = (n: number) => AT.data + n * CLUSTER;

/** One of each kind of cluster. */
const VARIED: ImageSpec = {
  size: 3n << 20n,
  l1: [COPIED | BigInt(AT.l2), COPIED | BigInt(DATA(3))],
  l2: [COPIED | BigInt(AT.data), compressedEntry(DATA(1), STREAM.length), ZERO, 0n, COPIED | ZERO | BigInt(DATA(2))],
  data: [noise(CLUSTER), STREAM, noise(CLUSTER, 'hidden'), Buffer.alloc(CLUSTER)],
};
const MAIN_TABLES = [
  [48, 24],
  [AT.refcountTable, 24],
  [AT.refcountBlock, 32],
  [AT.l1, 24],
  [AT.l2, 64],
] as const;

/** The entry of a snapshot whose L1 table lies at `l1`, with all that version 3 wants. */
export function snapshotEntry(l1: number, entries: number, id: string): Buffer {
  const entry = Buffer.alloc(64);
  entry.writeBigUInt64BE(BigInt(l1), 0);
  entry.writeUInt32BE(entries, 8);
  entry.writeUInt16BE(id.length, 12);
  entry.writeUInt32BE(16, 36);
  entry.write(id, 56);
  return entry;
}

const u16s = (values: readonly number[]) => {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => {
    bytes.writeUInt16BE(value, i * 2);
  });
  return bytes;
};

/** Two snapshots: the first shares the L2 table and data with the active disk, the second has a table of its own. */
const SNAPSHOTS: ImageSpec = {
  l1: [BigInt(AT.l2)],
  l2: [BigInt(AT.data), BigInt(DATA(1))],
  data: [
    noise(CLUSTER),
    noise(CLUSTER, 'second'),
    Buffer.concat([snapshotEntry(DATA(3), 1, '1'), snapshotEntry(DATA(4), 1, '2')]),
    u64s([BigInt(AT.l2)]),
    u64s([BigInt(DATA(5))]),
    u64s([BigInt(AT.data), 0n, BigInt(DATA(6))]),
    noise(CLUSTER, 'third'),
  ],
  header: { nbSnapshots: 2, snapshotsOffset: DATA(2) },
  patches: { [AT.refcountBlock]: u16s([1, 1, 1, 1, 2, 3, 2, 1, 1, 1, 1, 1]) },
};

/** A bitmap with a cluster of bits. */
const BITMAP: ImageSpec = {
  extensions: [{ type: EXT.bitmaps, data: bitmapsExtension(DATA(2)) }],
  data: [
    noise(CLUSTER),
    noise(CLUSTER, 'second'),
    bitmapEntry(DATA(3)),
    u64s([BigInt(DATA(4))]),
    noise(CLUSTER, 'bits'),
  ],
  l2: [COPIED | BigInt(AT.data), COPIED | BigInt(DATA(1))],
  header: { autoclearFeatures: 1 },
};

function bitmapsExtension(directory: number): Buffer {
  const data = Buffer.alloc(24);
  data.writeUInt32BE(1, 0);
  data.writeBigUInt64BE(32n, 8);
  data.writeBigUInt64BE(BigInt(directory), 16);
  return data;
}

function bitmapEntry(table: number): Buffer {
  const entry = Buffer.alloc(32);
  entry.writeBigUInt64BE(BigInt(table), 0);
  entry.writeUInt32BE(1, 8);
  entry.writeUInt8(1, 16);
  entry.writeUInt8(16, 17);
  entry.writeUInt16BE(1, 18);
  entry.write('b', 24);
  return entry;
}

/** Refcounts of 2^order bits, each 1. */
function narrow(order: number): ImageSpec {
  const bits = 2 ** order;
  const block = Buffer.alloc(CLUSTER);
  for (let cluster = 0; cluster < 9; cluster += 1) {
    if (bits >= 8) block.writeUInt8(1, (cluster + 1) * (bits / 8) - 1);
    else
      block[Math.floor((cluster * bits) / 8)] =
        (block[Math.floor((cluster * bits) / 8)] ?? 0) | (1 << ((cluster * bits) % 8));
  }
  return { ...VARIED, header: { refcountOrder: order }, patches: { [AT.refcountBlock]: block } };
}

/** 16 KiB clusters of 32 subclusters: allocated, half of them, zero, compressed. */
const BIG = 16 * 1024;
const EXTENDED: ImageSpec = {
  clusterBits: 14,
  size: 0x100000n,
  l2: [
    [COPIED | BigInt(5 * BIG), 0xffffffffn],
    [COPIED | BigInt(6 * BIG), 0xffff0000_0000ffffn],
    [0n, 0xffffffff_00000000n],
    [compressedEntry(7 * BIG, STREAM.length, 14), 0n],
  ].flat(),
  data: [noise(BIG), noise(BIG, 'second'), STREAM],
  header: { incompatibleFeatures: 16 },
};

const target = (spec: ImageSpec, tables: Target['tables'] = MAIN_TABLES): Target => ({
  bytes: imageBytes(spec),
  tables,
});

export const TARGETS: Readonly<Record<string, Target>> = {
  varied: target(VARIED, [...MAIN_TABLES, [DATA(3), 64]]),
  'version 2': target({ ...VARIED, version: 2 }),
  snapshots: target(SNAPSHOTS, [...MAIN_TABLES, [DATA(2), 128], [DATA(3), 8], [DATA(4), 8], [DATA(5), 32]]),
  'a bitmap': target(BITMAP, [...MAIN_TABLES, [DATA(3), 8]]),
  ...Object.fromEntries([0, 1, 2, 3, 5, 6].map((order) => [`refcounts of ${2 ** order} bits`, target(narrow(order))])),
  'extended L2': target(EXTENDED, [
    [48, 24],
    [BIG, 24],
    [2 * BIG, 32],
    [3 * BIG, 16],
    [4 * BIG, 64],
  ]),
};

export const SPECS = { varied: VARIED, snapshots: SNAPSHOTS, bitmap: BITMAP, extended: EXTENDED } as const;
