import fc from 'fast-check';

/** A source of 60 bytes, not of gigabytes: limits and gaps then meet exactly often enough to catch an off-by-one. */
export const WORLD = Uint8Array.from({ length: 60 }, (_, i) => i + 1);

export const someRange = fc
  .tuple(fc.nat(50), fc.integer({ min: 1, max: 10 }))
  .map(([start, length]) => ({ start, end: Math.min(start + length, WORLD.length) }));

export const someRanges = fc.array(someRange, { maxLength: 12 });

export const someLimits = fc.record({ maxGap: fc.nat(6), maxLength: fc.integer({ min: 1, max: 20 }) });
