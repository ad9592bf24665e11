import { expect } from 'vitest';
import type { Meter } from '../../lib/source/metered.ts';
import { KiB, MiB } from '../../lib/units.ts';

/**
 * A small file, whatever it claims of itself, is read in a few requests, and one more for each 4 MiB that is written from
 * it; in all they fetch less than three times its length and 64 KiB.
 */
export function expectBounded({ requests, bytes }: Meter, fileSize: number, written = 0): void {
  expect(requests).toBeLessThanOrEqual(12 + written / (4 * MiB));
  expect(bytes).toBeLessThan(3 * fileSize + 64 * KiB);
}
