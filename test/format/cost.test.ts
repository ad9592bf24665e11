import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openImage } from '../../lib/format/image.ts';
import { describe as describeImage } from '../../lib/format/info.ts';
import { diskBatches, type Layer } from '../../lib/format/layer.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { survey } from '../../lib/jobs/survey.ts';
import type { ByteRange } from '../../lib/ranges.ts';
import type { Location } from '../../lib/source/location.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { GiB, KiB, MiB } from '../../lib/units.ts';
import { AT, COPIED, EXT, type ImageSpec, imageBytes, ZERO } from '../support/hostile.ts';
import { mapOf, openBytes, recorded } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

const PLACE: Location = { kind: 'file', path: 'disk.qcow2' };
const sourceOf = (spec: ImageSpec) => recorded(memorySource(imageBytes(spec)));
const L2 = COPIED | BigInt(AT.l2);

/** Surveys, and says what that has read after the header, and its warnings. */
async function surveyed(spec: ImageSpec) {
  const source = sourceOf(spec);
  const disk = await openDisk(source, PLACE);
  const runs = await survey(disk);
  return { requests: source.requests.slice(1), warnings: disk.warnings.list(), runs };
}

describe('describing an image', () => {
  it('costs one read of 64 KiB', async () => {
    const source = recorded(memorySource(await readFile(await qemu.image('second-l2-table'))));
    describeImage(await openImage(source), 'disk.qcow2');
    expect(source.requests).toEqual([{ start: 0, end: 64 * KiB }]);
  });

  it('costs one read of the whole file where that is smaller', async () => {
    const source = sourceOf({});
    describeImage(await openImage(source), 'disk.qcow2');
    expect(source.requests).toEqual([{ start: 0, end: 0x7000 }]);
  });

  it('costs no more for a backing file, in whose name the extensions end', async () => {
    const source = sourceOf({ clusterBits: 21, backing: 'base.raw' });
    expect((await openImage(source)).backing?.name).toBe('base.raw');
    expect(source.requests).toHaveLength(1);
  });

  it('costs a second read of a cluster where extensions run past 64 KiB', async () => {
    const extensions = [{ type: EXT.unknown, data: Buffer.alloc(100 * KiB) }, { type: EXT.unknown }];
    const source = sourceOf({ clusterBits: 21, extensions });
    expect((await openImage(source)).extensions.unknown).toBe(2);
    expect(source.requests).toEqual([
      { start: 0, end: 64 * KiB },
      { start: 0, end: 2 * MiB },
    ]);
  });

  it('lists at most 64 extensions of unknown type, and counts 262,000', async () => {
    const extensions = Array.from({ length: 262_000 }, () => ({ type: EXT.unknown }));
    const { list, unknown } = (await openImage(sourceOf({ clusterBits: 21, extensions }))).extensions;
    expect([list.length, unknown]).toEqual([64, 262_000]);
  });
});

describe('surveying an image', () => {
  it('reads none of the small tables again that lie in the first 64 KiB, only the L2 tables', async () => {
    const { requests } = await surveyed({ header: { l1Size: 4_194_304 } });
    expect(requests).toEqual([{ start: AT.l2, end: AT.l2 + 16 * 8 }]);
  });

  it('reads no L2 table of an empty disk', async () => {
    const { requests } = await surveyed({ clusterBits: 21, size: 2n ** 45n, l1: Array(64).fill(0n) });
    const [refcountTable, l1] = [2 * MiB, 6 * MiB]; // too far apart for one request
    expect(requests).toEqual([
      { start: refcountTable, end: 2 * refcountTable },
      { start: l1, end: l1 + 64 * 8 },
    ]);
  });

  it('reads a refcount table that claims 8 MiB only as far as the file goes', async () => {
    const header = { refcountTableOffset: 0x7000, refcountTableClusters: 2048 };
    const { requests } = await surveyed({ header, fileSize: 0x7800 });
    expect(requests).toEqual([{ start: AT.l2, end: AT.l2 + 16 * 8 }]);
  });

  it('reads an L2 table once that 128 L1 entries share, and warns once of a million odd entries', async () => {
    const clusterBits = 16;
    const { requests, warnings } = await surveyed({
      clusterBits,
      size: 64n << 30n,
      l1: Array(128).fill(4n << 16n),
      l2: Array(8192).fill(1n << 60n),
    });
    expect(requests).toHaveLength(2);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatchObject({ code: 'L2E_RESERVED_BITS', at: 'l2[0][0]' });
    expect(warnings[0]?.message).toMatch(/\(and 1048575 more\)$/);
  });

  it('keeps nothing of a disk of zeros but one run, however many entries say so', async () => {
    const { runs } = await surveyed({ clusterBits: 16, size: 64n << 30n, l1: Array(128).fill(0n) });
    expect(runs.list()).toEqual([{ kind: 'zero', start: 0, end: 64 * GiB }]);
  });
});

describe('mapping an image', () => {
  it('reads neither the refcount table nor guest data', async () => {
    const source = sourceOf({ clusterBits: 16 });
    await mapOf(source);
    const read = source.requests.filter(({ start }) => start > 0);
    expect(read).toEqual([
      { start: 3 << 16, end: (3 << 16) + 8 },
      { start: 4 << 16, end: (4 << 16) + 8 },
    ]);
  });

  it('reads of a table only the entries for the stretch that is asked for', async () => {
    const source = sourceOf({ clusterBits: 16, size: BigInt(512 * MiB) });
    const disk = await openDisk(source, PLACE, { placesOnly: true });
    const before = source.requests.length;
    await Array.fromAsync(diskBatches(disk, { start: 64 * MiB, end: 65 * MiB }));
    expect(source.requests.slice(before)).toEqual([{ start: (4 << 16) + 1024 * 8, end: (4 << 16) + 1040 * 8 }]);
  });

  it('reads of large tables below small clusters no more than those leave open', async () => {
    const base = sourceOf({ clusterBits: 21, size: BigInt(2 * MiB) });
    const every2nd = Array.from({ length: 64 }, (_, i) => (i % 2 ? ZERO : 0n));
    const overlay = imageBytes({
      clusterBits: 9,
      size: 32_768n,
      l2: every2nd,
      backing: 'base',
      extensions: [{ type: EXT.backingFormat, data: 'qcow2' }],
    });
    const gate = { allow: ['.'], places: {}, backingFormats: {} };
    const disk = await openDisk(openBytes(overlay), PLACE, { gate, open: async () => base, placesOnly: true });
    const below = disk.layers[1] as Layer;
    let bytes = 0;
    const counted = { ...below.source, read: (range: ByteRange) => below.source.read(range).then(count) };
    const count = (read: Uint8Array) => {
      bytes += read.length;
      return read;
    };
    const layers = [disk.layers[0] as Layer, { ...below, source: counted }];
    await Array.fromAsync(diskBatches({ ...disk, layers }, { start: 0, end: disk.size }));
    expect(bytes).toBe(32 * 8); // an entry each time, of tables of 2 MiB
  });

  it('fetches neighbouring L2 tables by one request', async () => {
    const source = recorded(memorySource(await readFile(await qemu.image('every-l2-table'))));
    await mapOf(source);
    expect(source.requests.length).toBeLessThan(8); // of 32 tables, spread over 1 MiB
  });

  it('joins what shared L2 tables repeat only where it continues', async () => {
    const source = sourceOf({ size: 4n << 20n, l1: [L2, L2] });
    const data = (await mapOf(source)).filter((entry) => entry.data);
    expect(data.map(({ start, length, offset }) => [start, length, offset])).toEqual([
      [0, 0x2000, AT.data],
      [2 * MiB, 0x2000, AT.data],
    ]);
  });
});
