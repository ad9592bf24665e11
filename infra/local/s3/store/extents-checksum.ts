import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { ALGORITHMS, type Algorithm, base64 } from '../checksums/algorithms.ts';
import { crcOfZeros, isCrc, joinCrcs } from '../checksums/crc-combine.ts';
import { combineCrc32, crc32OfZeros, crc32Value, multiply, shiftBy } from '../checksums/crc32-combine.ts';
import { BLOCK, crcFileOf } from './blob-writer.ts';
import { type Blobs, readExactly } from './blobs.ts';
import { type DataExtent, type Extent, isData } from './extents.ts';

const SHIFT_BLOCK = shiftBy(BLOCK);

/**
 * The checksum of the bytes that the extents describe, in base64. CRC32 comes from what is kept beside the blobs; the
 * other CRCs read all data, but no hole; SHA-1 and SHA-256 have to be fed the holes' zeros too.
 */
export async function checksumOfExtents(
  blobs: Blobs,
  extents: readonly Extent[],
  algorithm: Algorithm,
): Promise<string> {
  if (algorithm === 'CRC32') return crc32Value(await crc32OfExtents(blobs, extents));
  if (!isCrc(algorithm)) return checksumOfData(blobs, extents, algorithm);
  const pieces = [];
  for (const extent of extents) {
    const value = isData(extent)
      ? await checksumOfData(blobs, [extent], algorithm)
      : crcOfZeros(algorithm, extent.length);
    pieces.push({ value, size: extent.length });
  }
  return joinCrcs(algorithm, pieces);
}

async function checksumOfData(blobs: Blobs, extents: readonly Extent[], algorithm: Algorithm): Promise<string> {
  const hasher = ALGORITHMS[algorithm].begin();
  for await (const piece of blobs.read(extents)) hasher.update(piece);
  return base64(await hasher.digest());
}

/**
 * The CRC32 of the bytes that the extents describe. Reads 4 bytes for each whole block of 64 KiB, and of the data
 * itself only the ends that do not fall on a block: at most 128 KiB for each extent.
 */
async function crc32OfExtents(blobs: Blobs, extents: readonly Extent[]): Promise<number> {
  let crc = 0;
  for (const extent of extents) {
    const next = isData(extent) ? await crc32OfData(blobs, extent) : crc32OfZeros(extent.length);
    crc = combineCrc32(crc, next, extent.length);
  }
  return crc;
}

async function crc32OfData(blobs: Blobs, { blob, offset, length }: DataExtent): Promise<number> {
  const end = offset + length;
  const firstBlock = Math.ceil(offset / BLOCK);
  const endBlock = Math.floor(end / BLOCK);
  if (firstBlock >= endBlock) return crc32OfBytes(blobs.path(blob), offset, end);
  let crc = await crc32OfBytes(blobs.path(blob), offset, firstBlock * BLOCK);
  for (const block of await blockCrcs(blobs.path(blob), firstBlock, endBlock)) {
    crc = (multiply(SHIFT_BLOCK, crc) ^ block) >>> 0;
  }
  return combineCrc32(crc, await crc32OfBytes(blobs.path(blob), endBlock * BLOCK, end), end - endBlock * BLOCK);
}

/** Reads the bytes `[start, end)`, at most two blocks of them. */
async function crc32OfBytes(path: string, start: number, end: number): Promise<number> {
  if (start === end) return 0;
  const file = await open(path);
  try {
    return crc32(await readExactly(file, start, end - start));
  } finally {
    await file.close();
  }
}

async function blockCrcs(path: string, firstBlock: number, endBlock: number): Promise<Uint32Array> {
  const file = await open(crcFileOf(path));
  try {
    const bytes = await readExactly(file, firstBlock * 4, (endBlock - firstBlock) * 4);
    return new Uint32Array(Uint8Array.from(bytes).buffer);
  } finally {
    await file.close();
  }
}
