import { SECTOR } from '../../units.ts';
import type { DiskKey } from './disk-key.ts';
import { BLOCK, decryptBlocks, encryptBlocks } from './ecb.ts';

/** 32-bit words in a block. Words are little-endian, like every machine that Node has a build of for us. */
const WORDS = BLOCK / 4;

/** Decrypts up to a batch of whole sectors in place, each under its own IV of 16 bytes. */
type Mode = (sectors: Uint8Array, ivs: Uint8Array) => void;

/** @param batch How many bytes one call decrypts at most. */
export function modeOf({ mode, bytes }: DiskKey, batch: number): Mode {
  switch (mode) {
    case 'ecb':
      return ecb(bytes);
    case 'cbc':
      return cbc(bytes, batch);
    case 'ctr':
      return ctr(bytes, batch);
    case 'xts':
      return xts(bytes, batch);
  }
}

function ecb(key: Uint8Array): Mode {
  const decrypt = decryptBlocks(key);
  return (sectors) => sectors.set(decrypt(sectors));
}

/** What AES makes of a block, xor the block before; for a sector's first block, xor its IV. */
function cbc(key: Uint8Array, batch: number): Mode {
  const decrypt = decryptBlocks(key);
  const mask = new Mask(batch);
  return (sectors, ivs) => {
    mask.bytes.set(sectors.subarray(0, -BLOCK), BLOCK);
    for (let at = 0, iv = 0; at < sectors.length; at += SECTOR, iv += BLOCK) {
      mask.bytes.set(ivs.subarray(iv, iv + BLOCK), at);
    }
    sectors.set(mask.xor(decrypt(sectors)));
  };
}

/** A sector's IV is a big-endian counter of 128 bits; what AES makes of each block's is xored with the block. */
function ctr(key: Uint8Array, batch: number): Mode {
  const encrypt = encryptBlocks(key);
  const mask = new Mask(batch);
  return (sectors, ivs) => {
    const counters = mask.bytes.subarray(0, sectors.length);
    for (let at = 0; at < counters.length; at += BLOCK) {
      const first = at % SECTOR === 0;
      if (first) counters.set(ivs.subarray((at / SECTOR) * BLOCK, (at / SECTOR + 1) * BLOCK), at);
      else counters.copyWithin(at, at - BLOCK, at);
      if (!first) increment(counters, at);
    }
    counters.set(encrypt(counters));
    sectors.set(mask.xor(sectors));
  };
}

function increment(counters: Uint8Array, at: number): void {
  for (let i = at + BLOCK - 1; i >= at; i -= 1) {
    const byte = ((counters[i] as number) + 1) & 0xff;
    counters[i] = byte;
    if (byte !== 0) return;
  }
}

/** Each block is xored with its tweak before and after AES. The key's second half makes the tweaks. @see IEEE 1619 */
function xts(key: Uint8Array, batch: number): Mode {
  const decrypt = decryptBlocks(key.subarray(0, key.length / 2));
  const encrypt = encryptBlocks(key.subarray(key.length / 2));
  const mask = new Mask(batch);
  return (sectors, ivs) => {
    fillTweaks(mask.words, encrypt(ivs));
    sectors.set(mask.xor(decrypt(mask.xor(sectors))));
  };
}

/** A sector's first tweak is its IV, encrypted; each further one is twice the one before, in GF(2^128). */
function fillTweaks(tweaks: Int32Array, firsts: Uint8Array): void {
  const view = new DataView(firsts.buffer, firsts.byteOffset, firsts.length);
  const wordsInSector = SECTOR / 4;
  for (let sector = 0; sector < firsts.length / BLOCK; sector += 1) {
    let a = view.getInt32(sector * BLOCK, true);
    let b = view.getInt32(sector * BLOCK + 4, true);
    let c = view.getInt32(sector * BLOCK + 8, true);
    let d = view.getInt32(sector * BLOCK + 12, true);
    const end = (sector + 1) * wordsInSector;
    for (let at = sector * wordsInSector; at < end; at += WORDS) {
      tweaks[at] = a;
      tweaks[at + 1] = b;
      tweaks[at + 2] = c;
      tweaks[at + 3] = d;
      const carry = (d >> 31) & 0x87;
      d = (d << 1) | (c >>> 31);
      c = (c << 1) | (b >>> 31);
      b = (b << 1) | (a >>> 31);
      a = (a << 1) ^ carry;
    }
  }
}

/** What a batch of sectors is xored with. By words, since that is what JavaScript is fast at. */
class Mask {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(batch: number) {
    this.words = new Int32Array(batch / 4);
    this.bytes = new Uint8Array(this.words.buffer);
    this.#words = new Int32Array(batch / 4);
    this.#bytes = new Uint8Array(this.#words.buffer);
  }

  /** Up to a batch of bytes, wherever they are aligned. The result is overwritten by the next call. */
  xor(bytes: Uint8Array): Uint8Array {
    this.#bytes.set(bytes);
    const end = bytes.length / 4;
    const mask = this.words;
    const words = this.#words;
    for (let i = 0; i < end; i += 1) words[i] = (words[i] as number) ^ (mask[i] as number);
    return this.#bytes.subarray(0, bytes.length);
  }
}
