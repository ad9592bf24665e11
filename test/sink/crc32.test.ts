import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combineCrc32, crc32Of, crc32OfZeros, fromBase64, toBase64 } from '../../lib/sink/crc32.ts';
import { GiB, TiB } from '../../lib/units.ts';

const someBytes = fc.uint8Array({ maxLength: 300 });
const someLength = fc.oneof(fc.nat(70), fc.nat(1_000_000));

describe('a CRC-32', () => {
  it('is the one that zlib and S3 have', () => {
    expect(crc32Of(Buffer.from('123456789'))).toBe(0xcbf43926);
    expect(crc32Of(new Uint8Array(0))).toBe(0);
  });

  it('is an unsigned number, as base64 four bytes, most significant first', () => {
    expect(toBase64(0xcbf43926)).toBe(Buffer.from([0xcb, 0xf4, 0x39, 0x26]).toString('base64'));
    expect(toBase64(0)).toBe('AAAAAA==');
    expect(fromBase64('y/Q5Jg==')).toBe(0xcbf43926);
  });

  it('comes back from base64 as it was', () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (crc) => {
        expect(fromBase64(toBase64(crc))).toBe(crc);
      }),
    ));
});

describe('combining two CRC-32s', () => {
  it('gives that of the one’s bytes followed by the other’s', () =>
    fc.assert(
      fc.property(someBytes, someBytes, (left, right) => {
        const combined = combineCrc32(crc32Of(left), crc32Of(right), right.length);
        expect(combined).toBe(crc32(Buffer.concat([left, right])));
      }),
      { numRuns: 500 },
    ));

  it('with none gives the other', () =>
    fc.assert(
      fc.property(someBytes, (bytes) => {
        expect(combineCrc32(crc32Of(bytes), 0, 0)).toBe(crc32Of(bytes));
        expect(combineCrc32(0, crc32Of(bytes), bytes.length)).toBe(crc32Of(bytes));
      }),
    ));

  const someCrc = fc.record({ crc: fc.integer({ min: 0, max: 0xffffffff }), length: fc.nat(2 ** 50) });

  it('gives the same however three are bracketed, at any length', () =>
    fc.assert(
      fc.property(someCrc, someCrc, someCrc, (a, b, c) => {
        const left = combineCrc32(combineCrc32(a.crc, b.crc, b.length), c.crc, c.length);
        const right = combineCrc32(a.crc, combineCrc32(b.crc, c.crc, c.length), b.length + c.length);
        expect(left).toBe(right);
      }),
    ));
});

describe('the CRC-32 of zeros', () => {
  it('is that of as many zeros', () =>
    fc.assert(
      fc.property(someLength, (length) => {
        expect(crc32OfZeros(length)).toBe(crc32(new Uint8Array(length)));
      }),
    ));

  it('of none is that of nothing', () => {
    expect(crc32OfZeros(0)).toBe(0);
  });

  it.each([1 * GiB, 5 * GiB, 48 * TiB + 1])('of %i combines with itself to that of twice as many', (length) => {
    expect(combineCrc32(crc32OfZeros(length), crc32OfZeros(length), length)).toBe(crc32OfZeros(2 * length));
  });
});
