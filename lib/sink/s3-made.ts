import { createHash } from 'node:crypto';
import { toBase64 } from './crc32.ts';
import type { StoredObject } from './s3-object.ts';
import { quoted } from './s3-request.ts';

/** What is known of an object that was put together out of parts. */
export interface Whole {
  readonly size: number;
  /** Of all its bytes, if every part's is known. */
  readonly crc32: number | undefined;
  /** The parts' ETags, in order. */
  readonly etags: readonly string[];
}

/** Whether the store itself says that an object has these bytes, by its size and CRC-32. */
export function isProven(object: StoredObject | undefined, { size, crc32 }: Whole): boolean {
  return object?.size === size && crc32 !== undefined && object.crc32 === toBase64(crc32);
}

/**
 * Whether an object is the one that was to be made: an earlier try may have made it, and its answer been lost. Where a store
 * keeps no CRC-32 its ETag says so, which is made out of the parts' own.
 */
export function isMade(object: StoredObject | undefined, whole: Whole): boolean {
  if (object?.crc32 !== undefined && whole.crc32 !== undefined) return isProven(object, whole);
  const etag = etagOfParts(whole.etags);
  return object?.size === whole.size && object.isOurs && etag !== undefined && quoted(object.etag) === etag;
}

/** The MD5 of the parts' MD5s, and how many they are; nothing where a part's ETag is none. */
function etagOfParts(etags: readonly string[]): string | undefined {
  const sums = etags.map((etag) => /^"([0-9a-f]{32})"$/.exec(quoted(etag))?.[1]);
  if (sums.length === 0 || sums.includes(undefined)) return undefined;
  const sum = createHash('md5')
    .update(Buffer.from(sums.join(''), 'hex'))
    .digest('hex');
  return `"${sum}-${sums.length}"`;
}
