import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inflateCluster } from '../../lib/chunk/inflate.ts';
import type { Extent } from '../../lib/format/extent.ts';
import { MAGIC } from '../../lib/format/header.ts';
import type { DiskBatch } from '../../lib/format/layer.ts';
import { type MapEntry, mapEntries } from '../../lib/format/map.ts';
import { assertClear } from '../../lib/format/overlaps.ts';
import { qcow1Batches } from '../../lib/format/qcow1/extents.ts';
import { QCOW1_HEADER, QCOW1_HEADER_BYTES } from '../../lib/format/qcow1/header.ts';
import { openQcow1, type Qcow1Image } from '../../lib/format/qcow1/image.ts';
import { type Qcow1GuestMap, type Qcow1Map, readQcow1Map } from '../../lib/format/qcow1/l1.ts';
import { Qcow1Metadata } from '../../lib/format/qcow1/metadata.ts';
import type { Field } from '../../lib/format/struct.ts';
import type { ByteRange } from '../../lib/ranges.ts';
import type { ByteSource } from '../../lib/source/byte-source.ts';
import { MiB } from '../../lib/units.ts';
import { padded, u64s } from './hostile.ts';
import { noise, type QemuMapEntry } from './qemu.ts';

const run = promisify(execFile);

export const COMPRESSED_V1 = 1n << 63n;

/** Where an image of 4 KiB clusters and tables has them, and its data from `data` on. */
export const AT_V1 = { l1: 48, l2: 0x1000, data: 0x2000 } as const;

/** An image, told by how it differs from a sound one: 4 KiB clusters and tables, 64 KiB of disk, two clusters of data. */
export interface Qcow1Spec {
  readonly clusterBits?: number;
  readonly l2Bits?: number;
  readonly size?: bigint;
  /** Its name goes between the header and the L1 table. */
  readonly backing?: string;
  readonly l1?: readonly bigint[];
  /** The first entries of the L2 table; the rest of it is unallocated. */
  readonly l2?: readonly bigint[];
  /** What lies from the data's first cluster on: each piece starts on a cluster. */
  readonly data?: readonly Uint8Array[];
  /** Bytes put over everything else, by host offset. */
  readonly patches?: Readonly<Record<number, Uint8Array>>;
  /** Header fields, put over the right ones. */
  readonly header?: Partial<Readonly<Record<keyof typeof QCOW1_HEADER, number | bigint>>>;
  /** What the file is cut or grown to. */
  readonly fileSize?: number;
}

/** Where an image has its L1 table, its first L2 table and its data: laid out as QEMU does. */
export function layoutV1({ clusterBits = 12, l2Bits = 9, size = 0x10000n, backing = '', l1 }: Qcow1Spec = {}) {
  const clusterSize = 2 ** clusterBits;
  const aligned = (at: number) => Math.ceil(at / clusterSize) * clusterSize;
  const coverage = 2n ** BigInt(clusterBits + l2Bits);
  const l1At = QCOW1_HEADER_BYTES + Math.ceil(backing.length / 8) * 8;
  const l2At = aligned(l1At + (l1?.length ?? Number((size + coverage - 1n) / coverage)) * 8);
  return { l1: l1At, l2: l2At, data: aligned(l2At + 2 ** l2Bits * 8), clusterSize };
}

/** Builds an image byte by byte: header, name, L1 table; then from a cluster on, the L2 table; data. */
export function qcow1Bytes(spec: Qcow1Spec = {}): Uint8Array {
  const { clusterBits = 12, l2Bits = 9, size = 0x10000n, backing = '' } = spec;
  const at = layoutV1(spec);
  const { data = [noise(at.clusterSize, 'first'), noise(at.clusterSize, 'second')] } = spec;
  const l1 = spec.l1 ?? [BigInt(at.l2)];
  const l2 = spec.l2 ?? data.map((_, i) => BigInt(at.data + i * at.clusterSize));
  const body = Buffer.concat(data.map((piece) => padded(piece, at.clusterSize)));
  const image = Buffer.alloc(at.data + body.length);
  image.write(backing, QCOW1_HEADER_BYTES);
  u64s(l1).copy(image, at.l1);
  u64s(l2).copy(image, at.l2);
  body.copy(image, at.data);
  const name = backing === '' ? {} : { backingFileOffset: QCOW1_HEADER_BYTES, backingFileSize: backing.length };
  const fields = { magic: MAGIC, version: 1, ...name, size, clusterBits, l2Bits, l1TableOffset: at.l1, ...spec.header };
  for (const [field, value] of Object.entries(fields)) setField(image, field as keyof typeof QCOW1_HEADER, value);
  const { fileSize = image.length } = spec;
  const sized = fileSize <= image.length ? image.subarray(0, fileSize) : Buffer.concat([image], fileSize);
  for (const [host, bytes] of Object.entries(spec.patches ?? {})) sized.set(bytes, Number(host));
  return sized;
}

function setField(image: Buffer, name: keyof typeof QCOW1_HEADER, value: number | bigint): void {
  const [at, type]: Field = QCOW1_HEADER[name];
  if (type === 'u64') image.writeBigUInt64BE(BigInt(value), at);
  else if (type === 'u32') image.writeUInt32BE(Number(value), at);
  else if (type === 'u16') image.writeUInt16BE(Number(value), at);
  else image.writeUInt8(Number(value), at);
}

/** The L2 entry of a compressed cluster whose stream has `length` bytes at `host`. */
export function compressedV1(host: number, length: number, clusterBits = 12): bigint {
  return COMPRESSED_V1 | (BigInt(length) << BigInt(63 - clusterBits)) | BigInt(host);
}

/** An image whose first cluster is compressed: its stream lies at the data's first byte, and the file ends with it. */
export function compressedV1Image(stream: Uint8Array, spec: Qcow1Spec & { readonly entry?: bigint } = {}): Qcow1Spec {
  const { entry = compressedV1(AT_V1.data, stream.length), ...rest } = spec;
  return { data: [stream], l2: [entry], fileSize: AT_V1.data + stream.length, ...rest };
}

/** Every extent of the disk, having been checked against the image's own tables. */
export async function qcow1Extents(image: Qcow1Image, map: Qcow1Map): Promise<Extent[]> {
  const metadata = new Qcow1Metadata(image, 'l2Offsets' in map ? map.l2Offsets : []);
  const whole = { start: 0, end: image.geometry.diskSize };
  const extents: Extent[] = [];
  for await (const batch of qcow1Batches(image.source, map, whole, { warn: image.warnings.add })) {
    for (const extent of batch) assertClear(metadata, extent);
    extents.push(...batch);
  }
  return extents;
}

/** The disk's bytes, and what was odd. What nothing backs is zeros. */
export async function qcow1Disk(source: ByteSource) {
  const image = await openQcow1(source);
  const extents = await qcow1Extents(image, await readQcow1Map(image));
  const disk = new Uint8Array(image.geometry.diskSize);
  for (const extent of extents) await put(disk, source, extent, 0);
  return { disk, warnings: image.warnings.list() };
}

/** One stretch of the disk, by a map that went through JSON as a job's item does. */
export async function qcow1Part(source: ByteSource, map: Qcow1GuestMap, range: ByteRange): Promise<Uint8Array> {
  const item = JSON.parse(JSON.stringify({ ...map, l2Offsets: Array.from(map.l2Offsets) }));
  const bytes = new Uint8Array(range.end - range.start);
  for await (const batch of qcow1Batches(source, item, range)) {
    for (const extent of batch) await put(bytes, source, extent, range.start);
  }
  return bytes;
}

async function put(bytes: Uint8Array, source: ByteSource, extent: Extent, base: number): Promise<void> {
  const { start, end } = extent;
  if (extent.kind === 'data') {
    const last = Math.min(extent.host + end - start, source.size);
    bytes.set(await source.read({ start: extent.host, end: last }), start - base);
  }
  if (extent.kind !== 'compressed') return;
  for (const [i, { host, length }] of extent.clusters.entries()) {
    const at = extent.origin + i * extent.clusterSize;
    const stream = await source.read({ start: host, end: host + length });
    const cluster = await inflateCluster(stream, extent.clusterSize, `disk[${at}]`);
    bytes.set(cluster.subarray(0, Math.min(cluster.length, end - at)), at - base);
  }
}

/** The map as `unqcow map` prints it, without the key that `qemu-img` has from 8.2 on. */
export async function qcow1MapOf(source: ByteSource): Promise<Omit<MapEntry, 'compressed'>[]> {
  const image = await openQcow1(source);
  const map = await readQcow1Map(image);
  const entries = await Array.fromAsync(mapEntries(oneLayer(source, map), [{ map }]));
  return entries.map(({ compressed: _, ...entry }) => entry);
}

async function* oneLayer(source: ByteSource, map: Qcow1Map): AsyncGenerator<DiskBatch> {
  const whole = { start: 0, end: map.geometry.diskSize };
  for await (const extents of qcow1Batches(source, map, whole)) yield { layer: 0, extents };
}

/** `qemu-img` as the oracle of what version 1 images mean. */
export interface Qemu1 {
  /** The path of an image that consists of these bytes. */
  imageOf(bytes: Uint8Array): Promise<string>;
  /** The bytes of the raw disk that `qemu-img convert` makes of an image. @throws if it refuses. */
  raw(image: string): Promise<Uint8Array>;
  map(image: string): Promise<QemuMapEntry[]>;
  info(image: string): Promise<Record<string, unknown>>;
}

export function qemu1In(folder: string): Qemu1 {
  const qemuImg = async (...args: string[]) =>
    (await run('qemu-img', args, { cwd: folder, maxBuffer: 64 * MiB })).stdout;
  return {
    async imageOf(bytes) {
      const path = join(folder, `${randomUUID()}.qcow`);
      await writeFile(path, bytes);
      return path;
    },
    async raw(image) {
      const path = `${image}.raw`;
      await qemuImg('convert', '-f', 'qcow', '-O', 'raw', image, path);
      const bytes = await readFile(path);
      await rm(path);
      return bytes;
    },
    map: async (image) => JSON.parse(await qemuImg('map', '-f', 'qcow', '--output=json', image)),
    info: async (image) => JSON.parse(await qemuImg('info', '-f', 'qcow', '--output=json', image)),
  };
}

/** Runs a recipe's steps in `folder`: `qemu-img` words, or `io` and a file and one `qemu-io` command. Returns `disk` without holes. */
export async function makeQcow1(folder: string, steps: readonly string[]): Promise<string> {
  for (const step of steps) {
    const [first, file = '', ...command] = step.split(' ');
    if (first === 'io') await run('qemu-io', ['-f', 'qcow', '-c', command.join(' '), file], { cwd: folder });
    else if (first === 'convert') await convertToQcow1(folder, step.split(' '));
    else await run('qemu-img', step.split(' '), { cwd: folder });
  }
  const image = join(folder, 'disk.qcow');
  await run('cp', ['--sparse=never', join(folder, 'disk'), image]);
  return image;
}

/** `qemu-img` exits 1, silently, after writing a compressed version 1 image that is nevertheless whole. */
async function convertToQcow1(folder: string, words: readonly string[]): Promise<void> {
  await run('qemu-img', words, { cwd: folder }).catch((error: { stderr: string }) => {
    if (error.stderr !== '') throw error;
  });
}
