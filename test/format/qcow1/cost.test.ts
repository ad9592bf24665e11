import { describe, expect, it } from 'vitest';
import { ExtentJoiner } from '../../../lib/format/extent.ts';
import { qcow1Batches } from '../../../lib/format/qcow1/extents.ts';
import { openQcow1 } from '../../../lib/format/qcow1/image.ts';
import { describeQcow1 } from '../../../lib/format/qcow1/info.ts';
import { readQcow1Map } from '../../../lib/format/qcow1/l1.ts';
import type { ByteSource } from '../../../lib/source/byte-source.ts';
import { memorySource } from '../../../lib/source/memory.ts';
import { KiB, MiB, TiB } from '../../../lib/units.ts';
import { AT_V1, type Qcow1Spec, qcow1Bytes, qcow1MapOf } from '../../support/hostile-v1.ts';
import { recorded } from '../../support/images.ts';

const sourceOf = (spec: Qcow1Spec) => recorded(memorySource(qcow1Bytes(spec)));

/** `bytes` and then zeros up to `size`, without having them. Tells how many reads ran at once, and the longest. */
function sparse(bytes: Uint8Array, size: number) {
  const seen = { requests: 0, inFlight: 0, most: 0, longest: 0 };
  const source: ByteSource = {
    size,
    id: 'sparse',
    async read({ start, end }, options) {
      options?.signal?.throwIfAborted();
      seen.requests += 1;
      seen.inFlight += 1;
      seen.most = Math.max(seen.most, seen.inFlight);
      seen.longest = Math.max(seen.longest, end - start);
      await new Promise(setImmediate);
      seen.inFlight -= 1;
      const read = new Uint8Array(end - start);
      read.set(bytes.subarray(start, end));
      return read;
    },
  };
  return { source, seen };
}

/** A disk of 152 TiB by the usual sizes: an L1 table of 608 MiB. */
const HUGE = { l1: [], data: [], header: { size: 152n * BigInt(TiB) } };

describe('opening a version 1 image', () => {
  it('costs one read of 64 KiB, however long its L1 table is', async () => {
    const { source, seen } = sparse(qcow1Bytes(HUGE), 700 * MiB);
    const image = await openQcow1(source);
    expect(describeQcow1(image, 'disk.qcow')).toMatchObject({
      'virtual-size': 152n * BigInt(TiB),
      unqcow: { l1: { entries: 79_691_776, needed: 79_691_776 } },
    });
    expect(seen).toMatchObject({ requests: 1, longest: 64 * KiB });
  });

  it('costs a second read for a backing name further on', async () => {
    const at = 100 * KiB;
    const patches = { [at]: Buffer.from('base') };
    const fields = { backingFileOffset: at, backingFileSize: 4 };
    const source = sourceOf({ fileSize: at + 4, patches, header: fields });
    expect((await openQcow1(source)).backing?.name).toBe('base');
    expect(source.requests).toEqual([
      { start: 0, end: 64 * KiB },
      { start: at, end: at + 4 },
    ]);
  });
});

describe('walking a version 1 image', () => {
  it('costs a request for the L1 entries that the disk needs, and one for L2 tables', async () => {
    const source = sourceOf({});
    await qcow1MapOf(source);
    expect(source.requests.slice(1)).toEqual([
      { start: AT_V1.l1, end: AT_V1.l1 + 8 },
      { start: AT_V1.l2, end: AT_V1.l2 + 16 * 8 },
    ]);
  });

  it('reads an L2 table once a window that 32,768 L1 entries share', async () => {
    const tables = 2 ** 15;
    const at = BigInt(2 * MiB);
    const spec = { l2Bits: 6, size: BigInt(tables) * 2n ** 18n, l1: Array(tables).fill(at), data: [] };
    const source = sourceOf({ ...spec, fileSize: 2 * MiB + 512 });
    await qcow1MapOf(source);
    const windows = (tables * 512) / (8 * MiB);
    expect(source.requests.length).toBeLessThanOrEqual(1 + 1 + windows);
  });

  it('reads only the L1 entries and the tables that map a stretch of disk', async () => {
    const [l2, coverage] = [BigInt(MiB), 2 * MiB];
    const source = sourceOf({ size: 200n * BigInt(coverage), l1: Array(200).fill(l2), data: [], fileSize: MiB + 4096 });
    const image = await openQcow1(source);
    const range = { start: 100 * coverage + 4096, end: 101 * coverage + 4096 };
    const batches = await Array.fromAsync(qcow1Batches(source, { geometry: image.geometry, image }, range));
    expect(batches.flat()).toEqual([{ kind: 'unallocated', ...range }]);
    expect(source.requests.slice(1)).toEqual([
      { start: AT_V1.l1 + 800, end: AT_V1.l1 + 816 },
      { start: MiB, end: MiB + 4096 },
    ]);
  });

  it('has at most 32 MiB of L2 tables on their way', async () => {
    const tables = 1200;
    const l1 = Array.from({ length: tables }, (_, i) => BigInt((i + 1) * MiB)); // too far apart for one request
    const spec = { clusterBits: 9, l2Bits: 13, size: BigInt(tables) * 2n ** 22n, l1, data: [] };
    const { source, seen } = sparse(qcow1Bytes(spec).subarray(0, 64 * KiB), (tables + 2) * MiB);
    const map = await qcow1MapOf(source);
    expect(map).toMatchObject([{ start: 0, length: tables * 2 ** 22, present: false }]);
    expect(seen).toMatchObject({ requests: 2 + tables, longest: 64 * KiB });
    expect(seen.most).toBeLessThanOrEqual((32 * MiB) / (64 * KiB));
  });

  it('goes through 608 MiB of L1 table by 1 MiB at a time, keeping none of it', async () => {
    const { source, seen } = sparse(qcow1Bytes(HUGE), 700 * MiB);
    const image = await openQcow1(source);
    const map = await readQcow1Map(image);
    expect(map).toEqual({ geometry: image.geometry, image });
    const before = process.memoryUsage().arrayBuffers;
    const joiner = new ExtentJoiner();
    let most = 0;
    for await (const batch of qcow1Batches(source, map, { start: 0, end: 152 * TiB })) {
      for (const { start, end } of batch) joiner.unallocated(start, end);
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }
    expect(joiner.finish()).toEqual([{ kind: 'unallocated', start: 0, end: 152 * TiB }]);
    expect(seen).toMatchObject({ requests: 609, longest: MiB });
    expect(seen.most).toBeLessThanOrEqual(4);
    expect(most).toBeLessThan(200 * MiB);
  });

  it('is the same from the L1 table as from L2 offsets in memory', async () => {
    const image = await openQcow1(sourceOf({ size: 0x400000n, l1: [0x1000n, 0x1000n] }));
    const whole = { start: 4096, end: image.geometry.diskSize };
    const held = await Array.fromAsync(qcow1Batches(image.source, await readQcow1Map(image), whole));
    const looked = await Array.fromAsync(qcow1Batches(image.source, { geometry: image.geometry, image }, whole));
    expect(looked).toEqual(held);
    expect(held.flat().map(({ kind }) => kind)).toEqual(['data', 'unallocated', 'data', 'unallocated']);
  });

  it('stops when told to, with the reason it was given', async () => {
    const { source, seen } = sparse(qcow1Bytes(HUGE), 700 * MiB);
    const image = await openQcow1(source);
    const stop = new AbortController();
    const walk = qcow1Batches(source, await readQcow1Map(image), { start: 0, end: 152 * TiB }, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(walk.next()).rejects.toThrow('enough');
    expect(seen.requests).toBe(1);
  });
});
