import { constants, deflateRawSync } from 'node:zlib';
import type { ErrorCode, WarningCode } from '../../lib/errors.ts';
import { HEADER_V2, HEADER_V3, MAGIC } from '../../lib/format/header.ts';
import type { Field } from '../../lib/format/struct.ts';
import { noise } from './qemu.ts';

const FIELDS: Readonly<Record<string, Field>> = { ...HEADER_V2, ...HEADER_V3, compressionType: [104, 'u8'] };
type FieldName = keyof typeof HEADER_V2 | keyof typeof HEADER_V3 | 'compressionType';

/** Flags of L1 and L2 entries. */
export const COPIED = 1n << 63n;
export const COMPRESSED = 1n << 62n;
export const ZERO = 1n;

/** Where an image of 4 KiB clusters has its tables, and its data from `data` on. */
export const AT = { refcountTable: 0x1000, refcountBlock: 0x2000, l1: 0x3000, l2: 0x4000, data: 0x5000 } as const;
const [REFCOUNT_TABLE, REFCOUNT_BLOCK, L1, L2, DATA] = [1, 2, 3, 4, 5];

/** Header extensions by type. */
export const EXT = {
  end: 0,
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  crypto: 0x0537be77,
  dataFile: 0x44415441,
  unknown: 0x12345678,
} as const;

export interface ExtensionSpec {
  readonly type: number;
  readonly data?: Uint8Array | string;
  /** What it says its length is, where that is not the truth. */
  readonly length?: number;
}

/** An image, told by how it differs from a sound one: version 3, 4 KiB clusters, 64 KiB of disk, two clusters of data. */
export interface ImageSpec {
  readonly version?: 2 | 3;
  readonly clusterBits?: number;
  readonly size?: bigint;
  readonly extensions?: readonly ExtensionSpec[];
  readonly backing?: string;
  readonly l1?: readonly bigint[];
  /** The first entries of the L2 table; the rest of it is unallocated. */
  readonly l2?: readonly bigint[];
  /** What lies from the data's first cluster on: each piece starts on a cluster. */
  readonly data?: readonly Uint8Array[];
  /** Bytes put over everything else, by host offset. */
  readonly patches?: Readonly<Record<number, Uint8Array>>;
  /** Header fields, put over the right ones. */
  readonly header?: Partial<Readonly<Record<FieldName, number | bigint>>>;
  /** What the file is cut or grown to. */
  readonly fileSize?: number;
}

/** Builds an image byte by byte. Whatever the spec leaves out is as `qemu-img check` wants it. */
export function imageBytes(spec: ImageSpec = {}): Uint8Array {
  const { version = 3, clusterBits = 12, size = 0x10000n } = spec;
  const clusterSize = 2 ** clusterBits;
  const { data = [noise(clusterSize, 'first'), noise(clusterSize, 'second')] } = spec;
  const l1 = spec.l1 ?? [COPIED | BigInt(L2 * clusterSize)];
  const l2 = spec.l2 ?? data.map((_, i) => COPIED | BigInt((DATA + i) * clusterSize));
  const body = Buffer.concat(data.map((piece) => padded(piece, clusterSize)));
  const image = Buffer.alloc(DATA * clusterSize + body.length);
  const headerLength = version === 3 ? 112 : 72;
  const set = (name: string, value: number | bigint) => setField(image, name, value);
  set('magic', MAGIC);
  set('version', version);
  set('clusterBits', clusterBits);
  set('size', size);
  set('l1Size', l1.length);
  set('l1TableOffset', L1 * clusterSize);
  set('refcountTableOffset', REFCOUNT_TABLE * clusterSize);
  set('refcountTableClusters', 1);
  if (version === 3) {
    set('refcountOrder', 4);
    set('headerLength', headerLength);
  }
  const extensions = Buffer.concat((spec.extensions ?? []).map(extensionBytes));
  extensions.copy(image, headerLength);
  if (spec.backing !== undefined) {
    const at = headerLength + extensions.length + 8;
    set('backingFileOffset', at);
    set('backingFileSize', image.write(spec.backing, at));
  }
  image.writeBigUInt64BE(BigInt(REFCOUNT_BLOCK * clusterSize), REFCOUNT_TABLE * clusterSize);
  const clusters = image.length / clusterSize;
  for (let i = 0; i < clusters; i += 1) image.writeUInt16BE(1, REFCOUNT_BLOCK * clusterSize + i * 2);
  u64s(l1).copy(image, L1 * clusterSize);
  u64s(l2).copy(image, L2 * clusterSize);
  body.copy(image, DATA * clusterSize);
  for (const [name, value] of Object.entries(spec.header ?? {})) set(name, value);
  return patched(resized(image, spec.fileSize ?? image.length), spec.patches ?? {});
}

/** The fields that a v2 header does not have lie on its extensions: setting one there is up to the caller. */
function setField(image: Buffer, name: string, value: number | bigint): void {
  const [at, type] = FIELDS[name] as Field;
  if (type === 'u64') image.writeBigUInt64BE(BigInt(value), at);
  else if (type === 'u32') image.writeUInt32BE(Number(value), at);
  else image.writeUInt8(Number(value), at);
}

function extensionBytes({ type, data = '', length }: ExtensionSpec): Buffer {
  const payload = Buffer.from(data as string);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(type, 0);
  head.writeUInt32BE(length ?? payload.length, 4);
  return Buffer.concat([head, padded(payload, 8)]);
}

function resized(image: Buffer, size: number): Buffer {
  return size <= image.length ? image.subarray(0, size) : Buffer.concat([image], size);
}

function patched(image: Buffer, patches: Readonly<Record<number, Uint8Array>>): Buffer {
  for (const [at, bytes] of Object.entries(patches)) image.set(bytes, Number(at));
  return image;
}

export function padded(bytes: Uint8Array, unit: number): Buffer {
  return Buffer.concat([bytes], Math.ceil(bytes.length / unit) * unit);
}

export function u64s(values: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  values.forEach((value, i) => {
    bytes.writeBigUInt64BE(value, i * 8);
  });
  return bytes;
}

/** A raw deflate stream as QEMU writes it. */
export const deflated = (bytes: Uint8Array, windowBits = 12): Buffer =>
  deflateRawSync(bytes, { windowBits, level: constants.Z_BEST_COMPRESSION });

/** The L2 entry of a compressed cluster whose stream has `length` bytes at `host`, in as many sectors as that touches. */
export function compressedEntry(host: number, length: number, clusterBits = 12): bigint {
  const sectors = Math.ceil(((host % 512) + length) / 512) - 1;
  return compressedSectors(host, sectors, clusterBits);
}

/** The same, with the number of further sectors as the entry holds it. */
export function compressedSectors(host: number, sectors: number, clusterBits = 12): bigint {
  return COMPRESSED | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | BigInt(host);
}

/** An image whose first cluster is compressed: its stream lies at the data's first byte. */
export function compressedImage(
  stream: Uint8Array,
  { entry, clusterBits = 12, ...spec }: CompressedSpec = {},
): ImageSpec {
  const own = entry ?? compressedEntry(DATA * 2 ** clusterBits, stream.length, clusterBits);
  return { clusterBits, data: [stream], l2: [own], ...spec };
}

interface CompressedSpec extends ImageSpec {
  readonly entry?: bigint;
}

/** An image that is refused by that code. */
export interface RefusedRow {
  readonly image: ImageSpec;
  /** Whether it can be described all the same, and is refused only when it is to be converted. */
  readonly opens: boolean;
  readonly code: ErrorCode;
  /** What the message must say. */
  readonly says: RegExp | undefined;
  /** The snapshot that is to be converted, instead of the active disk. */
  readonly snapshot?: string;
}

/** An image that converts to the bytes that `qemu-img` makes of it, or of `like` where `qemu-img` refuses it. */
export interface ConvertedRow {
  readonly image: ImageSpec;
  readonly like?: ImageSpec;
  readonly snapshot?: string;
  readonly warnings: readonly WarningCode[];
}

/** What an image must get. */
export type Row = RefusedRow | ConvertedRow;
export type Rows = Readonly<Record<string, Row>>;

export const refused = (code: ErrorCode, image: ImageSpec, says?: RegExp): Row => ({ image, opens: false, code, says });
export const notConverted = (code: ErrorCode, image: ImageSpec, says?: RegExp): Row => ({
  image,
  opens: true,
  code,
  says,
});
export const converts = (image: ImageSpec, ...warnings: WarningCode[]): Row => ({ image, warnings });
/** For what cannot change the disk's bytes, though `qemu-img` refuses it. */
export const convertsLike = (like: ImageSpec, image: ImageSpec, ...warnings: WarningCode[]): Row => ({
  image,
  like,
  warnings,
});
