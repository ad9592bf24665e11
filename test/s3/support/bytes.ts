import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { MiB } from '../../../lib/units.ts';

/** The smallest part that need not be the last, in bytes. */
export const MIN_PART = 5 * MiB;

/** Bytes that look random and are the same each time: every seed has its own. */
export function bytes(length: number, seed = 1): Buffer {
  const block = createHash('shake256', { outputLength: 64 * 1024 })
    .update(String(seed))
    .digest();
  return Buffer.alloc(length, length > 0 ? block : 0);
}

export const md5 = (data: Buffer): string => `"${createHash('md5').update(data).digest('hex')}"`;

/** CRC32 as S3 writes it: base64 of four bytes, the highest first. */
export function crc32Base64(data: Buffer): string {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32(data));
  return value.toString('base64');
}

/** An ETag without its quotes: some servers leave them out of XML. */
export const unquoted = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '');
