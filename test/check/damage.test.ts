import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkDisk } from '../../lib/jobs/check-disk.ts';
import { KiB } from '../../lib/units.ts';
import { openBytes, refusalOf } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';
import { asQemu, EXIT_CODES, qemuCheck } from './support.ts';
import { TARGETS } from './targets.ts';

const qemu = useQemu();

/** A field of 8 bytes gets flags, small numbers, offsets in and past the file, or anything. */
const value = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 1n << 62n, 1n << 63n, (1n << 63n) | 1n, (1n << 64n) - 1n, 0x1ffn, 1n << 56n),
  fc.nat(80).map((n) => BigInt(n) * 512n),
  fc.nat(40).map((n) => (1n << 63n) | (BigInt(n) * 4096n)),
  fc.nat(40).map((n) => (1n << 62n) | (BigInt(n) * 1000n)),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
const damage = fc.record({
  target: fc.constantFrom(...Object.keys(TARGETS)),
  edits: fc.array(fc.tuple(fc.nat(), value, fc.constantFrom(1, 2, 8, 8)), { minLength: 1, maxLength: 3 }),
  cut: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(20 * KiB) }),
});
type Damage = typeof damage extends fc.Arbitrary<infer D> ? D : never;

function damaged({ target, edits, cut }: Damage): Uint8Array {
  const { bytes, tables } = TARGETS[target] as (typeof TARGETS)[string];
  const image = Buffer.from(bytes);
  const fields = tables.flatMap(([start, length]) => Array.from({ length: length / 8 }, (_, i) => start + i * 8));
  for (const [pick, field, width] of edits) {
    const at = fields[pick % fields.length] as number;
    const written = Buffer.alloc(8);
    written.writeBigUInt64BE(field);
    written.copy(image, at, 8 - width);
  }
  return image.subarray(0, Math.max(image.length - cut, 4 * KiB));
}

/** A longer run asks for more. */
const RUNS = Number(process.env.UNQCOW_RUNS ?? 150);
/** Enough for 8 clusters, and one L2 table. */
const TINY = 64;

describe('an image whose tables are damaged', () => {
  it.each(Object.entries(TARGETS))('is clean before: %s', async (_, { bytes }) => {
    const report = await checkDisk(openBytes(bytes), { filename: 'disk' });
    expect(report.unqcow.findings).toEqual([]);
    expect((await qemuCheck(await qemu.imageOf(bytes))).code).toBe(0);
  });

  it(
    'is checked as qemu-img checks it, or refused by a code',
    async () => {
      let compared = 0;
      let walked = 0;
      const check = async (each: Damage) => {
        const bytes = damaged(each);
        const path = await qemu.imageOf(bytes);
        const theirs = await qemuCheck(path);
        await rm(path);
        const work = checkDisk(openBytes(bytes), { filename: path });
        const refusal = await refusalOf(work);
        // It goes on where there is no refcount table, and finds each refcount too low.
        if (refusal?.code === 'BAD_REFTABLE') return;
        if (refusal || !theirs.answer) {
          expect(theirs.answer).toBeUndefined();
          if (!refusal) expect(EXIT_CODES[(await work).unqcow.verdict]).toBe(theirs.code);
          return;
        }
        const report = await work;
        expect(asQemu(report)).toEqual(theirs.answer);
        // Metadata on metadata may have refcounts that agree, and then qemu-img does not mind.
        const own = report.unqcow['own-corruptions'] > 0 && theirs.code !== 1;
        expect(EXIT_CODES[report.unqcow.verdict]).toBe(own ? 2 : theirs.code);
        const walks = await checkDisk(openBytes(bytes), { filename: path, memory: TINY });
        walked += walks.unqcow.passes - 1;
        expect({ ...asQemu(walks), ...walks.unqcow.counts }).toEqual({ ...asQemu(report), ...report.unqcow.counts });
        compared += 1;
      };
      await fc.assert(fc.asyncProperty(damage, check), { numRuns: RUNS });
      expect(compared).toBeGreaterThan(75);
      expect(walked).toBeGreaterThan(75);
    },
    RUNS * 1000,
  );
});
