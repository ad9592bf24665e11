import type { LayerCipher } from '../../format/layer.ts';
import { KiB, SECTOR } from '../../units.ts';
import type { DiskKey } from './disk-key.ts';
import { ivsOf } from './iv.ts';
import { modeOf } from './modes.ts';

/** A layer's cipher. The key's bytes may be wiped afterwards. */
export function cipherOf(key: DiskKey): LayerCipher {
  return { numbering: key.numbering, decrypt: decryptorOf(key) };
}

/** Sectors are decrypted so many bytes at a time: few calls, and what they work on stays in the processor's cache. */
const BATCH = 128 * KiB;

/**
 * Makes a decryptor. It holds 256 KiB, is meant for a whole job, and may not be used from two threads. Wiping the
 * key's bytes afterwards does not stop it.
 *
 * Everything is made of few long calls: a cipher object for each sector would be thirty times as slow.
 */
export function decryptorOf(key: DiskKey): LayerCipher['decrypt'] {
  const ivs = ivsOf(key);
  const decrypt = modeOf(key, BATCH);
  return (bytes, firstSector) => {
    if (bytes.length % SECTOR !== 0) throw new RangeError(`${bytes.length} bytes are not whole sectors`);
    for (let at = 0; at < bytes.length; at += BATCH) {
      const batch = bytes.subarray(at, at + BATCH);
      decrypt(batch, ivs(firstSector + at / SECTOR, batch.length / SECTOR));
    }
  };
}
