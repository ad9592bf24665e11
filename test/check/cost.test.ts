import { describe, expect, it } from 'vitest';
import { checkDisk } from '../../lib/jobs/check-disk.ts';
import type { ByteSource } from '../../lib/source/byte-source.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { AT, COPIED, imageBytes, u64s } from '../support/hostile.ts';
import { openBytes, recorded } from '../support/images.ts';
import { DATA, SPECS, snapshotEntry } from './targets.ts';

const LENGTH = { filename: 'disk' };

async function costOf(source: ByteSource, memory?: number) {
  const watched = recorded(source);
  const report = await checkDisk(watched, memory === undefined ? LENGTH : { ...LENGTH, memory });
  return { report, requests: watched.requests };
}

/** Bytes here and there of a file that is otherwise zeros, and need not be held. */
function sparse(size: number, pieces: Readonly<Record<number, Uint8Array>>): ByteSource {
  return {
    size,
    id: 'sparse',
    async read({ start, end }, { into = new Uint8Array(end - start) } = {}) {
      into.fill(0);
      for (const [key, piece] of Object.entries(pieces)) {
        const at = Number(key);
        const [from, to] = [Math.max(start, at), Math.min(end, at + piece.length)];
        if (from < to) into.set(piece.subarray(from - at, to - at), from - start);
      }
      return into;
    },
  };
}

describe('a check', () => {
  it('of a small image reads each of its tables once', async () => {
    const { report, requests } = await costOf(openBytes(imageBytes(SPECS.varied)));
    expect(report.unqcow.passes).toBe(1);
    // The whole file comes with the first 64 KiB, and only then the tables out of it.
    expect(requests[0]).toEqual({ start: 0, end: 0x9000 });
    expect(requests.length).toBeLessThanOrEqual(5);
  });

  it('walks a file once for each window that its memory allows, and counts the same', async () => {
    const bytes = imageBytes(SPECS.snapshots);
    const once = await costOf(openBytes(bytes));
    // Three quarters of it for 8 clusters at 8 bytes: the file has 12, and one may begin past its end.
    const twice = await costOf(openBytes(bytes), 96);
    expect([once.report.unqcow.passes, twice.report.unqcow.passes]).toEqual([1, 2]);
    expect(twice.requests.length).toBeLessThanOrEqual(2 * once.requests.length + 8);
    const { passes: _, read: __, ...rest } = twice.report.unqcow;
    expect(once.report).toMatchObject({ ...twice.report, unqcow: rest });
  });

  it('of a file of 8 GiB holds no more than it may', async () => {
    const image = imageBytes(SPECS.varied);
    const before = process.memoryUsage().arrayBuffers;
    const source = recorded(sparse(8 * 1024 * MiB, { 0: image }));
    const report = await checkDisk(source, { ...LENGTH, memory: 4 * MiB });
    // 4 KiB clusters: 2 Mi of them, by 384 Ki a walk.
    expect(report.unqcow.passes).toBe(6);
    expect(report.unqcow.verdict).toBe('clean');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * MiB);
    expect(source.requests.length).toBeLessThan(6 * 6);
    expect(report.unqcow.read.bytes).toBeLessThan(6 * 64 * KiB + 64 * KiB);
  });

  it('reads what 1,000 snapshots share as often as what one has, and counts it a thousand times', async () => {
    const of = (count: number) => {
      const entries = Buffer.concat(Array.from({ length: count }, (_, i) => snapshotEntry(DATA(3), 1, String(i % 10))));
      const spec = { ...SPECS.snapshots, header: { nbSnapshots: count, snapshotsOffset: 0x10000 }, fileSize: 0x30000 };
      return openBytes(imageBytes({ ...spec, patches: { 65536: entries } }));
    };
    const [one, many] = [await costOf(of(1)), await costOf(of(1000))];
    expect(many.requests.length).toBe(one.requests.length);
    const message = 'the refcount of cluster 5 is 1, and there are 1001 references to it';
    expect(many.report.unqcow.findings).toContainEqual({
      code: 'REFCOUNT_TOO_LOW',
      at: `file[${AT.data}]`,
      message,
    });
  });

  it('reads one L2 table that the whole L1 table names once', async () => {
    const l1 = Array<bigint>(512).fill(COPIED | BigInt(AT.l2));
    const { report, requests } = await costOf(openBytes(imageBytes({ size: 0x40000000n, l1 })));
    expect(report['allocated-clusters']).toBe(1024);
    expect(report.unqcow['l2-tables']).toBe(1);
    expect(requests.length).toBeLessThanOrEqual(5);
  });

  it('refuses L2 tables that lie on each other and are more to read than the file', async () => {
    // 2 MiB each, one every 512 bytes: 8 GiB in a file of 4 MiB.
    const l1 = u64s(Array.from({ length: 4096 }, (_, i) => BigInt(10 * MiB + i * 512)));
    const image = imageBytes({ clusterBits: 21, l1: [], fileSize: 14 * MiB, header: { l1Size: 4096 } });
    const bytes = Buffer.from(image);
    l1.copy(bytes, 3 * 2 * MiB);
    await expect(checkDisk(openBytes(bytes), LENGTH)).rejects.toMatchObject({ code: 'CHECK_LIMIT', at: 'l1' });
  });
});
