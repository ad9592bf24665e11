import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decryptorOf } from '../../../lib/chunk/crypto/decrypt.ts';
import type { DiskKey } from '../../../lib/chunk/crypto/disk-key.ts';
import { KiB } from '../../../lib/units.ts';

const SECTOR = 512;

type Settings = Pick<DiskKey, 'cipher' | 'mode' | 'iv'>;
const keyOf = (settings: Settings): DiskKey => ({
  ...settings,
  numbering: 'host',
  bytes: randomBytes((Number(settings.cipher.slice(4)) / 8) * (settings.mode === 'xts' ? 2 : 1)),
});

function ivOf({ iv, bytes }: DiskKey, sector: number): Buffer {
  const number = Buffer.alloc(16);
  if (iv === 'plain') number.writeUInt32LE(sector % 2 ** 32);
  else number.writeBigUInt64LE(BigInt(sector));
  if (iv === 'plain' || iv === 'plain64') return number;
  const salt = createHash(iv.slice('essiv:'.length)).update(bytes).digest();
  return createCipheriv(`aes-${salt.length * 8}-ecb`, salt, null)
    .setAutoPadding(false)
    .update(number);
}

/** The slow way: a cipher object of OpenSSL's own for each sector. */
function encrypted(key: DiskKey, plain: Uint8Array, firstSector: number): Buffer {
  const sectors = Array.from({ length: plain.length / SECTOR }, (_, i) => {
    const iv = key.mode === 'ecb' ? null : ivOf(key, firstSector + i);
    const cipher = createCipheriv(`${key.cipher}-${key.mode}`, key.bytes, iv).setAutoPadding(false);
    return cipher.update(plain.subarray(i * SECTOR, (i + 1) * SECTOR));
  });
  return Buffer.concat(sectors);
}

const ALL: Settings[] = (['aes-128', 'aes-192', 'aes-256'] as const)
  .flatMap((cipher) => (['xts', 'cbc', 'ecb', 'ctr'] as const).map((mode) => ({ cipher, mode })))
  .flatMap((each) => (['plain', 'plain64', 'essiv:md5', 'essiv:sha256'] as const).map((iv) => ({ ...each, iv })));

describe('decrypting sectors', () => {
  // OpenSSL has no aes-192-xts: the images that qemu-img makes show that one.
  const known = ALL.filter(({ cipher, mode }) => cipher !== 'aes-192' || mode !== 'xts');

  it.each(known)('undoes what OpenSSL does with $cipher-$mode-$iv', (settings) => {
    const key = keyOf(settings);
    const decrypt = decryptorOf(key);
    // Up to, around and beyond 32 bits; less and more than what is decrypted at once; and again with the same object.
    for (const [length, first] of [
      [SECTOR, 0],
      [300 * KiB, 2 ** 32 - 100],
      [64 * KiB, 2 ** 47 + 12_345],
      [0, 7],
    ] as const) {
      const plain = randomBytes(length);
      const bytes = Buffer.concat([Buffer.alloc(3), encrypted(key, plain, first)]).subarray(3);
      decrypt(bytes, first);
      expect(bytes.equals(plain)).toBe(true);
    }
  });

  it.each(ALL)('gives the same bytes however they are cut: $cipher-$mode-$iv', (settings) => {
    const key = keyOf(settings);
    const decrypt = decryptorOf(key);
    const whole = randomBytes(256 * KiB);
    const cut = Buffer.from(whole);
    decrypt(whole, 1000);
    const lengths = [SECTOR, 3 * SECTOR, 64 * KiB];
    for (let at = 0, i = 0; at < cut.length; i += 1) {
      const bytes = cut.subarray(at, at + (lengths[i % 3] as number));
      decrypt(bytes, 1000 + at / SECTOR);
      at += bytes.length;
    }
    expect(cut.equals(whole)).toBe(true);
  });

  it('does not touch what lies beside the bytes', () => {
    const around = Buffer.alloc(3 * SECTOR);
    const decrypt = decryptorOf(keyOf({ cipher: 'aes-256', mode: 'xts', iv: 'plain64' }));
    decrypt(around.subarray(SECTOR, 2 * SECTOR), 1);
    expect(around.subarray(0, SECTOR)).toEqual(Buffer.alloc(SECTOR));
    expect(around.subarray(2 * SECTOR)).toEqual(Buffer.alloc(SECTOR));
    expect(around.subarray(SECTOR, 2 * SECTOR)).not.toEqual(Buffer.alloc(SECTOR));
  });

  it('goes on after the key was wiped', () => {
    const key = keyOf({ cipher: 'aes-256', mode: 'cbc', iv: 'essiv:sha256' });
    const plain = randomBytes(SECTOR);
    const bytes = encrypted(key, plain, 5);
    const decrypt = decryptorOf(key);
    key.bytes.fill(0);
    decrypt(bytes, 5);
    expect(bytes.equals(plain)).toBe(true);
  });

  it('takes whole sectors only', () => {
    const decrypt = decryptorOf(keyOf({ cipher: 'aes-128', mode: 'cbc', iv: 'plain64' }));
    expect(() => decrypt(new Uint8Array(511), 0)).toThrow(RangeError);
  });
});
