import { hash } from 'node:crypto';
import type { DiskKey } from './disk-key.ts';
import { BLOCK, encryptBlocks } from './ecb.ts';

/** The initialisation vectors of `count` sectors from `first` on, 16 bytes each. */
export type IvGenerator = (first: number, count: number) => Uint8Array;

/**
 * `plain` is the sector's number in 32 bits, `plain64` in 64, both little-endian; `essiv` is the latter, encrypted under
 * the key's hash.
 */
export function ivsOf({ iv, bytes }: DiskKey): IvGenerator {
  if (iv === 'plain' || iv === 'plain64') return (first, count) => numbers(first, count, iv === 'plain64');
  const salt = hash(iv === 'essiv:md5' ? 'md5' : 'sha256', bytes, 'buffer');
  const encrypt = encryptBlocks(salt);
  salt.fill(0);
  return (first, count) => encrypt(numbers(first, count, true));
}

function numbers(first: number, count: number, wide: boolean): Uint8Array {
  const ivs = new Uint8Array(count * BLOCK);
  const view = new DataView(ivs.buffer);
  for (let i = 0; i < count; i += 1) {
    const sector = first + i;
    view.setUint32(i * BLOCK, sector % 2 ** 32, true);
    if (wide) view.setUint32(i * BLOCK + 4, Math.floor(sector / 2 ** 32), true);
  }
  return ivs;
}
