import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WarningCodes } from '../../lib/errors.ts';
import { openImage } from '../../lib/format/image.ts';
import { describe as describeImage } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { AT, COPIED, compressedEntry, deflated, EXT, type ImageSpec, imageBytes, ZERO } from '../support/hostile.ts';
import { convertTo, openBytes, refusalOf } from '../support/images.ts';
import { noise, type Qemu, useQemu } from '../support/qemu.ts';

let qemu: Qemu;
beforeAll(async () => {
  qemu = await useQemu();
});
afterAll(() => qemu.close());

/** One of each kind of cluster, extensions, two L2 tables: damage then hits something that matters. */
const STREAM = deflated(Buffer.from(noise(2048).toString('hex')));
const VARIED: ImageSpec = {
  size: 3n << 20n,
  extensions: [
    { type: EXT.featureNames, data: Buffer.alloc(48) },
    { type: EXT.unknown, data: 'odd' },
  ],
  l1: [COPIED | BigInt(AT.l2), COPIED | 0x8000n],
  l2: [COPIED | BigInt(AT.data), compressedEntry(0x6000, STREAM.length), ZERO, 0n, COPIED | ZERO | 0x7000n],
  data: [noise(4096), STREAM, noise(4096, 'hidden'), Buffer.alloc(4096)],
};
const IMAGES = {
  varied: imageBytes(VARIED),
  'version 2': imageBytes({ ...VARIED, version: 2, l2: VARIED.l2?.slice(0, 2) ?? [] }),
  simple: imageBytes(),
};

const within = (start: number, length: number) => fc.integer({ min: start, max: start + length - 1 });
const header = fc.oneof(within(0, 112), within(72, 180));
const tables = fc.oneof(within(AT.l1, 16), within(AT.l2, 48), within(AT.refcountTable, 16), within(0x8000, 64));
const data = fc.oneof(within(AT.data, 4096), within(0x6000, STREAM.length));

const value = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 8 }),
  fc.constantFrom(Uint8Array.of(0xff), Uint8Array.of(0x80), Uint8Array.of(0), new Uint8Array(8).fill(0xff)),
);
const damageTo = (place: fc.Arbitrary<number>) =>
  fc.record({
    image: fc.constantFrom(...(Object.keys(IMAGES) as (keyof typeof IMAGES)[])),
    edits: fc.array(fc.tuple(place, value), { minLength: 1, maxLength: 3 }),
    cut: fc.oneof({ weight: 7, arbitrary: fc.constant(0x9000) }, { weight: 1, arbitrary: fc.nat(0x9000) }),
  });
type Damage = ReturnType<typeof damageTo> extends fc.Arbitrary<infer D> ? D : never;

function damaged({ image, edits, cut }: Damage): Uint8Array {
  const bytes = Buffer.from(IMAGES[image]);
  for (const [at, patch] of edits) Buffer.from(patch).copy(bytes, at);
  return bytes.subarray(0, cut);
}

const LIMIT = 16 * MiB;

describe('an image whose bytes are anything', () => {
  it.each(Object.entries(IMAGES))('converts as long as nothing is damaged: %s', async (_, bytes) => {
    expect(await refusalOf(convertTo(qemu.folder, openBytes(bytes)))).toBeUndefined();
  });

  it('is described, or refused by a code', async () => {
    const check = async (bytes: Uint8Array) => {
      const work = openImage(openBytes(bytes));
      if (await refusalOf(work)) return;
      const info = describeImage(await work, 'disk.qcow2');
      expect(info.unqcow.warnings.length).toBeLessThanOrEqual(Object.keys(WarningCodes).length);
      expect(toJson(info).length).toBeLessThan(64 * KiB);
      JSON.parse(toJson(info));
    };
    await fc.assert(
      fc.asyncProperty(damageTo(header), (each) => check(damaged(each))),
      { numRuns: 1000 },
    );
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), check), { numRuns: 200 });
  });

  it('is converted, or refused by a code that is not INTERNAL', async () => {
    const check = async (damage: Damage) => {
      const work = convertTo(qemu.folder, openBytes(damaged(damage)), LIMIT);
      if (await refusalOf(work)) return;
      await rm((await work).path);
    };
    await fc.assert(fc.asyncProperty(damageTo(fc.oneof(header, tables, data)), check), { numRuns: 500 });
  });

  it('is never converted to other bytes than qemu-img reads, where qemu-img reads it', async () => {
    let compared = 0;
    const check = async (damage: Damage) => {
      const bytes = damaged(damage);
      const work = convertTo(qemu.folder, openBytes(bytes), LIMIT);
      if (await refusalOf(work)) return;
      const image = await qemu.imageOf(bytes);
      const theirs = await qemu.raw(image).catch(() => undefined);
      const { path } = await work;
      if (theirs !== undefined) {
        expect(await qemu.difference(path, theirs)).toBeUndefined();
        compared += 1;
      }
      await Promise.all([path, image, `${image}.raw`].map((each) => rm(each, { force: true })));
    };
    await fc.assert(fc.asyncProperty(damageTo(fc.oneof(tables, data)), check), { numRuns: 150 });
    expect(compared).toBeGreaterThan(20);
  });
});
