import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../lib/chunk/assemble.ts';
import type { Qcow2Map } from '../../lib/format/extents.ts';
import { diskBatches } from '../../lib/format/layer.ts';
import { type OpenLayer, openDisk } from '../../lib/jobs/open-disk.ts';
import { survey } from '../../lib/jobs/survey.ts';
import { type ByteRange, splitRange } from '../../lib/ranges.ts';
import type { OpenSource } from '../../lib/source/byte-source.ts';
import { openFile } from '../../lib/source/file.ts';
import { GiB, KiB, MiB } from '../../lib/units.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

const lengthOf = (ranges: readonly ByteRange[]) => ranges.reduce((sum, { start, end }) => sum + end - start, 0);

/** A file whose reads are written down, and how many of them ran at a time. */
async function watched(path: string) {
  const file = await openFile(path);
  const reads: ByteRange[] = [];
  let [running, most] = [0, 0];
  const source: OpenSource = {
    ...file,
    async read({ start, end }, options) {
      reads.push({ start, end });
      running += 1;
      most = Math.max(most, running);
      try {
        return await file.read({ start, end }, options);
      } finally {
        running -= 1;
      }
    },
  };
  return { source, reads, most: () => most };
}

/** What surveying a disk reads after what opening it does. */
async function surveyed(path: string) {
  const { source, reads, most } = await watched(path);
  const disk = await openDisk(source, { kind: 'file', path });
  const opened = reads.length;
  await survey(disk);
  const [{ map }] = disk.layers as [OpenLayer];
  const { geometry, l2Offsets } = map as Qcow2Map;
  const tables = Array.from(l2Offsets).filter((offset) => offset !== 0).length;
  await source.close();
  return { reads: reads.slice(opened), tableBytes: tables * 2 ** geometry.clusterBits, most: most() };
}

const MARGIN = 1.05;
/** Ends of windows, and of the tables themselves. */
const FEW = 3;

describe('the tables of a whole disk', () => {
  it('that lie together cost a GET for each 8 MiB of them, and not a byte more', async () => {
    const path = join(qemu.folder, 'zeros.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '64G']);
    const writes = Array.from({ length: 64 }, (_, i) => ['-c', `write -q -z ${i}G 1G`]);
    execFileSync('qemu-io', [...writes.flat(), path]);
    const { reads, tableBytes } = await surveyed(path);
    expect(tableBytes).toBe(8 * MiB);
    expect(lengthOf(reads)).toBeLessThanOrEqual(MARGIN * tableBytes);
    expect(reads.length).toBeLessThanOrEqual(Math.ceil(tableBytes / (8 * MiB)) + FEW);
  });

  it('that lie apart, as qemu-img writes them among data, are read alone, 16 at a time', async () => {
    const raw = join(qemu.folder, 'apart.raw');
    const path = join(qemu.folder, 'apart.qcow2');
    const file = await open(raw, 'w');
    const data = randomBytes(512 * KiB);
    for (let at = 0; at < 40; at += 1) await file.write(data, 0, data.length, at * 512 * MiB);
    await file.truncate(20 * GiB);
    await file.close();
    execFileSync('qemu-img', ['convert', '-O', 'qcow2', raw, path]);
    const { reads, tableBytes, most } = await surveyed(path);
    expect(tableBytes).toBe(40 * 64 * KiB);
    expect(lengthOf(reads)).toBeLessThanOrEqual(MARGIN * tableBytes);
    expect(most).toBeLessThanOrEqual(16);
    expect(most).toBeGreaterThan(8);
  });

  it('that are not there cost nothing: an empty TiB is 2 reads, of less than 1 MiB', async () => {
    const path = join(qemu.folder, 'empty.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1T']);
    const { source, reads } = await watched(path);
    await survey(await openDisk(source, { kind: 'file', path }));
    await source.close();
    expect(reads.length).toBeLessThanOrEqual(3);
    expect(lengthOf(reads)).toBeLessThan(MiB);
  });
});

describe('the bytes of a part', () => {
  const OVER = 1.02;
  /** Of each cluster a third does not compress. */
  const content = (length: number) => {
    const bytes = Buffer.alloc(length, 'some bytes that compress as those of programs and of texts do, more or less. ');
    for (let at = 0; at < length; at += 64 * KiB) randomBytes(20 * KiB).copy(bytes, at);
    return bytes;
  };
  const PART = 16 * MiB;

  it.each([
    ['plain', []],
    ['deflate', ['-c']],
    ['zstd', ['-c', '-o', 'compression_type=zstd']],
    ['extended L2', ['-o', 'extended_l2=on']],
  ])('of an image that qemu-img wrote, %s, are read with 2 %% more at most, 8 MiB at a time', async (name, options) => {
    const raw = join(qemu.folder, `${name}.raw`);
    const path = join(qemu.folder, `${name}.qcow2`);
    const file = await open(raw, 'w');
    await file.write(content(48 * MiB));
    await file.truncate(64 * MiB);
    await file.close();
    execFileSync('qemu-img', ['convert', '-O', 'qcow2', ...options, raw, path]);
    const { source, reads } = await watched(path);
    const disk = await openDisk(source, { kind: 'file', path });
    for (const part of splitRange({ start: 0, end: disk.size }, PART)) {
      let stored = 0;
      for await (const { extents } of diskBatches(disk, part)) {
        for (const extent of extents) {
          if (extent.kind === 'data') stored += extent.end - extent.start;
          if (extent.kind === 'compressed') stored += extent.clusters.reduce((sum, { length }) => sum + length, 0);
        }
      }
      reads.length = 0;
      await assemble(disk, part);
      const entries = (part.end - part.start) / 64 / KiB;
      expect(lengthOf(reads)).toBeLessThanOrEqual(OVER * stored + 16 * entries);
      expect(reads.length - 1).toBeLessThanOrEqual(Math.ceil(stored / (8 * MiB)) + 1);
    }
    await source.close();
  });
});
