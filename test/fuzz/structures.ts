import { CRYPTO_EXTENSION, EXTENSION_TYPES } from '../../lib/format/extensions.ts';
import { HEADER_V2, HEADER_V3 } from '../../lib/format/header.ts';
import { LUKS_HEADER_BYTES } from '../../lib/format/luks.ts';
import { QCOW1_HEADER } from '../../lib/format/qcow1/header.ts';
import { readStruct, type Struct } from '../../lib/format/struct.ts';

/** A stretch of a good image that means something: damage is aimed at it. */
export interface Structure {
  readonly kind: 'field' | 'table' | 'text' | 'stream' | 'data';
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** Bytes of one entry. */
  readonly unit: number;
}

const WIDTHS = { u8: 1, u16: 2, u32: 4, u64: 8 } as const;
/** QEMU's tables are sparse: past what is used come a few empty entries, which count too. */
const EMPTY_ENTRIES = 4;
const MAX_STREAMS = 40;

/** Finds what a good image is made of. Knows where things lie by the specification, and trusts the image. */
export function structuresOf(image: Buffer): Structure[] {
  const version = image.readUInt32BE(4);
  const found = version === 1 ? version1(image) : version2(image, version);
  return found.filter(({ start, end }) => start < end && end <= image.length);
}

const fieldsOf = (struct: Struct): Structure[] =>
  Object.entries(struct).map(([name, [start, type]]) => {
    const unit = WIDTHS[type];
    return { kind: 'field', name: `header.${name}`, start, end: start + unit, unit };
  });

const table = (name: string, start: number, end: number, unit = 8): Structure => ({
  kind: 'table',
  name,
  start,
  end,
  unit,
});
const text = (name: string, start: number, length: number): Structure => {
  return { kind: 'text', name, start, end: start + length, unit: 1 };
};

function version1(image: Buffer): Structure[] {
  const header = readStruct(viewOf(image), QCOW1_HEADER);
  const { clusterBits, l2Bits } = header;
  const coverage = 2 ** (clusterBits + l2Bits);
  const l1 = Number(header.l1TableOffset);
  const l1Entries = Math.ceil(Number(header.size) / coverage);
  const structures = [
    ...fieldsOf(QCOW1_HEADER),
    text('backing name', Number(header.backingFileOffset), header.backingFileSize),
    table('L1', l1, l1 + l1Entries * 8),
  ];
  for (const at of entriesOf(image, l1, l1Entries)) {
    const offset = Number(at.value);
    structures.push(table('L2', offset, usedEnd(image, offset, 2 ** l2Bits, 8)));
    for (const { value } of entriesOf(image, offset, 2 ** l2Bits)) {
      const start = Number(value & ((1n << BigInt(63 - clusterBits)) - 1n));
      const length = Number((value >> BigInt(63 - clusterBits)) & ((1n << BigInt(clusterBits)) - 1n));
      structures.push(clusterAt(start, value >> 63n === 1n ? length : undefined, 2 ** clusterBits));
    }
  }
  return fewer(structures);
}

function version2(image: Buffer, version: number): Structure[] {
  const header = readStruct(viewOf(image), HEADER_V2);
  const v3 = version === 3 ? readStruct(viewOf(image), HEADER_V3) : undefined;
  const clusterSize = 2 ** header.clusterBits;
  const unit = v3 && (v3.incompatibleFeatures & 16n) !== 0n ? 16 : 8;
  const refcounts = Number(header.refcountTableOffset);
  const structures = [
    ...fieldsOf(HEADER_V2),
    ...(v3 ? fieldsOf({ ...HEADER_V3, compressionType: [104, 'u8'] }) : []),
    text('backing name', Number(header.backingFileOffset), header.backingFileSize),
    ...extensionsOf(image, v3?.headerLength ?? 72, clusterSize),
    table('refcount table', refcounts, usedEnd(image, refcounts, clusterSize / 8, 8)),
    ...entriesOf(image, refcounts, 1).map(({ value }) => table('refcounts', Number(value), Number(value) + 64, 2)),
    ...mappingOf(image, 'L1', Number(header.l1TableOffset), header.l1Size, { clusterSize, unit, ...header }),
  ];
  const snapshots = Number(header.snapshotsOffset);
  if (header.nbSnapshots === 0) return fewer(structures);
  structures.push(table('snapshot table', snapshots, snapshots + header.nbSnapshots * 72, 4));
  const l1 = Number(image.readBigUInt64BE(snapshots));
  const entries = image.readUInt32BE(snapshots + 8);
  structures.push(...mappingOf(image, 'snapshot L1', l1, entries, { clusterSize, unit, ...header }));
  return fewer(structures);
}

interface Mapping {
  readonly clusterSize: number;
  readonly clusterBits: number;
  readonly unit: number;
}

const OFFSET = 0x00fffffffffffe00n;

/** An L1 table, its L2 tables, and the clusters of both kinds. */
function mappingOf(image: Buffer, name: string, l1: number, entries: number, mapping: Mapping): Structure[] {
  const { clusterSize, clusterBits, unit } = mapping;
  const structures = [table(name, l1, l1 + entries * 8)];
  for (const entry of entriesOf(image, l1, entries)) {
    const offset = Number(entry.value & OFFSET);
    const count = clusterSize / unit;
    structures.push(table('L2', offset, usedEnd(image, offset, count, unit)));
    for (const { value } of entriesOf(image, offset, count, unit)) {
      const isStream = ((value >> 62n) & 1n) === 1n;
      const bits = BigInt(62 - (clusterBits - 8));
      const host = isStream ? Number(value & ((1n << bits) - 1n)) : Number(value & OFFSET);
      const sectors = Number((value & ((1n << 62n) - 1n)) >> bits) + 1;
      structures.push(clusterAt(host, isStream ? sectors * 512 - (host % 512) : undefined, clusterSize));
    }
  }
  return structures;
}

function clusterAt(start: number, streamBytes: number | undefined, clusterSize: number): Structure {
  const isStream = streamBytes !== undefined;
  const length = streamBytes ?? clusterSize;
  return {
    kind: isStream ? 'stream' : 'data',
    name: isStream ? 'stream' : 'data',
    start,
    end: start + length,
    unit: 1,
  };
}

/** Each extension's head and payload; the tables that they point at. */
function extensionsOf(image: Buffer, from: number, clusterSize: number): Structure[] {
  const structures: Structure[] = [];
  for (let at = from; at + 8 <= clusterSize; ) {
    const type = image.readUInt32BE(at);
    const length = image.readUInt32BE(at + 4);
    const name = EXTENSION_TYPES[type as keyof typeof EXTENSION_TYPES] ?? 'unknown extension';
    structures.push(table('extension head', at, at + 8, 4));
    if (type === 0) break;
    structures.push({ ...text('extension', at + 8, length), unit: length % 8 === 0 ? 4 : 1 });
    if (name === 'encryption header') {
      const { offset } = readStruct(viewOf(image), CRYPTO_EXTENSION, at + 8);
      structures.push({ ...text('LUKS header', Number(offset), LUKS_HEADER_BYTES), unit: 4 });
    }
    if (name === 'bitmaps') {
      const size = Number(image.readBigUInt64BE(at + 16));
      const offset = Number(image.readBigUInt64BE(at + 24));
      structures.push(table('bitmap directory', offset, offset + size, 4));
    }
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return structures;
}

function entriesOf(image: Buffer, start: number, count: number, unit = 8) {
  const entries: { at: number; value: bigint }[] = [];
  for (let at = start; at < start + count * unit && at + 8 <= image.length; at += unit) {
    const value = image.readBigUInt64BE(at);
    if (value !== 0n) entries.push({ at, value });
  }
  return entries;
}

function usedEnd(image: Buffer, start: number, count: number, unit: number): number {
  const last = entriesOf(image, start, count, unit).at(-1)?.at ?? start - unit;
  return Math.min(last + unit * (1 + EMPTY_ENTRIES), start + count * unit, image.length);
}

/** Some of the clusters: there may be thousands, and one is like the other. */
function fewer(structures: readonly Structure[]): Structure[] {
  let clusters = 0;
  return structures.filter(({ kind }) => {
    if (kind === 'stream' || kind === 'data') clusters += 1;
    return (kind !== 'stream' && kind !== 'data') || clusters <= MAX_STREAMS;
  });
}

const viewOf = (image: Buffer) => new DataView(image.buffer, image.byteOffset, image.byteLength);
