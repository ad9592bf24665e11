import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WarningCodes } from '../../../lib/errors.ts';
import { toJson } from '../../../lib/format/json.ts';
import { openQcow1 } from '../../../lib/format/qcow1/image.ts';
import { describeQcow1 } from '../../../lib/format/qcow1/info.ts';
import { memorySource } from '../../../lib/source/memory.ts';
import { KiB, MiB } from '../../../lib/units.ts';
import { deflated } from '../../support/hostile.ts';
import { AT_V1, compressedV1, type Qcow1Spec, qcow1Bytes, qcow1Disk, qemu1In } from '../../support/hostile-v1.ts';
import { refusalOf } from '../../support/images.ts';
import { noise, type Qemu, useQemu } from '../../support/qemu.ts';

let qemu: Qemu;
beforeAll(async () => {
  qemu = await useQemu();
});
afterAll(() => qemu.close());

/** One of each kind of cluster, two L2 tables: damage then hits something that matters. */
const STREAM = deflated(Buffer.from(noise(2048).toString('hex')));
const VARIED: Qcow1Spec = {
  size: 3n << 20n,
  l1: [BigInt(AT_V1.l2), 0x5000n],
  l2: [BigInt(AT_V1.data), compressedV1(0x3000, STREAM.length), 0n, 0x4000n],
  data: [noise(4096), STREAM, noise(4096, 'hidden'), Buffer.alloc(4096)],
};
const IMAGES = {
  varied: qcow1Bytes(VARIED),
  encrypted: qcow1Bytes({ header: { cryptMethod: 1 } }),
  overlay: qcow1Bytes({ clusterBits: 9, l2Bits: 12, backing: 'base.raw' }),
};
const LENGTH = 0x6000;
const LIMIT = BigInt(16 * MiB);

const within = (start: number, length: number) => fc.integer({ min: start, max: start + length - 1 });
const header = within(0, 64);
const tables = fc.oneof(within(AT_V1.l1, 16), within(AT_V1.l2, 32), within(0x5000, 32));
const data = fc.oneof(within(AT_V1.data, 4096), within(0x3000, STREAM.length));
const value = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 8 }),
  fc.constantFrom(Uint8Array.of(0xff), Uint8Array.of(0x80), Uint8Array.of(0), new Uint8Array(8).fill(0xff)),
);
const damageTo = (place: fc.Arbitrary<number>, images = Object.keys(IMAGES) as (keyof typeof IMAGES)[]) =>
  fc
    .record({
      image: fc.constantFrom(...images),
      edits: fc.array(fc.tuple(place, value), { minLength: 1, maxLength: 3 }),
      cut: fc.oneof({ weight: 7, arbitrary: fc.constant(LENGTH) }, { weight: 1, arbitrary: fc.nat(LENGTH) }),
    })
    .map(({ image, edits, cut }) => {
      const bytes = Buffer.from(IMAGES[image]);
      for (const [at, patch] of edits) Buffer.from(patch).copy(bytes, at);
      return bytes.subarray(0, cut);
    });

describe('a version 1 image whose bytes are anything', () => {
  it('is described, or refused by a code', async () => {
    const check = async (bytes: Uint8Array) => {
      const work = openQcow1(memorySource(bytes));
      if (await refusalOf(work)) return;
      const info = describeQcow1(await work, 'disk.qcow');
      expect(info.unqcow.warnings.length).toBeLessThanOrEqual(Object.keys(WarningCodes).length);
      expect(toJson(info).length).toBeLessThan(16 * KiB);
      JSON.parse(toJson(info));
    };
    await fc.assert(fc.asyncProperty(damageTo(header), check), { numRuns: 2000 });
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), check), { numRuns: 200 });
  });

  it('is read, or refused by a code that is not INTERNAL', async () => {
    const check = async (bytes: Uint8Array) => {
      const source = memorySource(bytes);
      const opened = openQcow1(source);
      if ((await refusalOf(opened)) || (await opened).header.size > LIMIT) return;
      await refusalOf(qcow1Disk(source));
    };
    await fc.assert(fc.asyncProperty(damageTo(fc.oneof(header, tables, data)), check), { numRuns: 1000 });
  });

  it('never reads as other bytes than qemu-img reads, where qemu-img reads it', async () => {
    let compared = 0;
    const oracle = qemu1In(qemu.folder);
    const check = async (bytes: Uint8Array) => {
      const work = qcow1Disk(memorySource(bytes));
      if (await refusalOf(work)) return;
      const path = await oracle.imageOf(bytes);
      const theirs = await oracle.raw(path).catch(() => undefined);
      await rm(path);
      if (theirs === undefined) return;
      expect(Buffer.compare((await work).disk, theirs)).toBe(0);
      compared += 1;
    };
    await fc.assert(fc.asyncProperty(damageTo(fc.oneof(tables, data), ['varied']), check), { numRuns: 150 });
    expect(compared).toBeGreaterThan(20);
  });
});
