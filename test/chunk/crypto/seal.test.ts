import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seal, unseal } from '../../../lib/chunk/crypto/seal.ts';

const secret = randomBytes(32);
const flipped = (text: string, bit: number) => {
  const bytes = Buffer.from(text, 'base64');
  const at = Math.floor(bit / 8) % bytes.length;
  bytes[at] = (bytes[at] as number) ^ (1 << (bit % 8));
  return bytes.toString('base64');
};

describe('what is sealed', () => {
  it('comes back whole, for the same secret and purpose', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 2000 }), (bytes, purpose) => {
        expect(Buffer.from(unseal(secret, purpose, seal(secret, purpose, bytes)))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('opens by no other secret, for no other purpose, and not once a bit of it is changed', () => {
    const bytes = Buffer.from('the key of a disk');
    const sealed = seal(secret, 'job 1', bytes);
    expect(() => unseal(randomBytes(32), 'job 1', sealed)).toThrow();
    expect(() => unseal(secret, 'job 2', sealed)).toThrow();
    fc.assert(
      fc.property(fc.nat(2000), fc.constantFrom('salt', 'bytes'), (bit, field) => {
        expect(() => unseal(secret, 'job 1', { ...sealed, [field]: flipped(sealed[field as 'salt'], bit) })).toThrow();
      }),
    );
    for (const cut of [0, 8, 15, 16, 20]) {
      const short = Buffer.from(sealed.bytes, 'base64').subarray(0, cut).toString('base64');
      expect(() => unseal(secret, 'job 1', { ...sealed, bytes: short })).toThrow();
    }
  });

  it('is never the same twice', () => {
    const bytes = Buffer.from('the key of a disk');
    const all = Array.from({ length: 50 }, () => seal(secret, 'job', bytes));
    expect(new Set(all.map(({ salt }) => salt)).size).toBe(50);
    expect(new Set(all.map((sealed) => sealed.bytes)).size).toBe(50);
  });
});
