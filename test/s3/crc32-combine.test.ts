import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combineCrc32, crc32OfZeros } from '../../infra/local/s3/crc32-combine.ts';

describe('a combined CRC32', () => {
  it('is that of the joined bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (a, b) => {
        expect(combineCrc32(crc32(a), crc32(b), b.length)).toBe(crc32(Buffer.concat([a, b])));
      }),
    );
  });

  it('of zeros is that of so many zeros', () => {
    for (const length of [0, 1, 2, 255, 65_536, 1_000_003])
      expect(crc32OfZeros(length)).toBe(crc32(Buffer.alloc(length)));
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
