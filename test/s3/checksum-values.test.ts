import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Algorithm, checksumOfBytes } from '../../infra/local/s3/checksums/algorithms.ts';
import { crcOfZeros, joinCrcs } from '../../infra/local/s3/checksums/crc-combine.ts';
import { combineCrc32, crc32OfZeros, crc32Value } from '../../infra/local/s3/checksums/crc32-combine.ts';

const CRCS = ['CRC32', 'CRC32C', 'CRC64NVME'] as const;

describe('a checksum', () => {
  // The check values of the catalogue of CRC algorithms (reveng.sourceforge.io), and those of FIPS 180-4 for "abc".
  const values: [Algorithm, text: string, hex: string][] = [
    ['CRC32', '123456789', 'cbf43926'],
    ['CRC32C', '123456789', 'e3069283'],
    ['CRC64NVME', '123456789', 'ae8b14860a799888'],
    ['SHA1', 'abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
    ['SHA256', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  ];
  it.each(values)('%s of %s is what its standard says', async (algorithm, text, hex) => {
    expect(Buffer.from(await checksumOfBytes(algorithm, Buffer.from(text)), 'base64').toString('hex')).toBe(hex);
  });
});

describe('a combined CRC32', () => {
  it('is that of the joined bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (a, b) => {
        expect(combineCrc32(crc32(a), crc32(b), b.length)).toBe(crc32(Buffer.concat([a, b])));
      }),
    );
  });

  it('of lengths past 32 bits does not depend on where they are cut', () => {
    fc.assert(
      fc.property(fc.nat(), fc.maxSafeNat(), fc.maxSafeNat(), (crc, x, y) => {
        const [m, n] = [Math.floor(x / 2), Math.floor(y / 2)];
        const atOnce = combineCrc32(crc, crc32OfZeros(m + n), m + n);
        expect(combineCrc32(combineCrc32(crc, crc32OfZeros(m), m), crc32OfZeros(n), n)).toBe(atOnce);
      }),
    );
  });
});

describe.each(CRCS)('%s of pieces', (crc) => {
  it('joined is that of the joined bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }), async (pieces) => {
        const summed = pieces.map(async (piece) => ({ value: await checksumOfBytes(crc, piece), size: piece.length }));
        expect(joinCrcs(crc, await Promise.all(summed))).toBe(await checksumOfBytes(crc, Buffer.concat(pieces)));
      }),
    );
  });

  it('of zeros is that of so many zeros', async () => {
    for (const length of [0, 1, 2, 255, 65_536, 1_000_003])
      expect(crcOfZeros(crc, length)).toBe(await checksumOfBytes(crc, Buffer.alloc(length)));
  });

  it('of terabytes of zeros does not depend on where they are cut', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (x, y) => {
        const sizes = [Math.floor(x / 2), Math.floor(y / 2)];
        const pieces = sizes.map((size) => ({ value: crcOfZeros(crc, size), size }));
        expect(joinCrcs(crc, pieces)).toBe(crcOfZeros(crc, Math.floor(x / 2) + Math.floor(y / 2)));
      }),
    );
  });
});

it('the two ways to combine CRC32s agree', () => {
  for (const length of [0, 1, 65_536, 2 ** 40 + 1])
    expect(crcOfZeros('CRC32', length)).toBe(crc32Value(crc32OfZeros(length)));
});
