import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MapEntry } from '../../lib/format/map.ts';
import { mapPage } from '../../lib/jobs/map-page.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { openFile } from '../../lib/source/file.ts';
import { metered, newMeter } from '../../lib/source/metered.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

/** The walk of a disk of 512-byte clusters: 4 MiB of its tables map 256 MiB. */
async function walk(limits: { maxBytes: number; until: number; limit?: number }) {
  const path = join(qemu.folder, 'small-clusters');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', path, '1G']);
  execFileSync('qemu-io', ['-c', 'write 1000 5000', '-c', 'write 255M 2M', '-c', 'write 700M 64k', path]);
  const file = await openFile(path);
  const meter = newMeter();
  const disk = await openDisk(metered(file, meter), { kind: 'file', path }, { placesOnly: true });
  const pages: { entries: readonly MapEntry[]; bytes: number }[] = [];
  for (let from: number | undefined = 0; from !== undefined; ) {
    const before = meter.bytes;
    const { entries, next }: Awaited<ReturnType<typeof mapPage>> = await mapPage(disk, {
      ...{ from, limit: 10_000, meter, ...limits },
    });
    pages.push({ entries, bytes: meter.bytes - before });
    from = next;
  }
  const expected = (await qemu.map(path)) as MapEntry[];
  await file.close();
  return { pages, expected };
}

/** Entries as they were before a page's end cut them. */
function joined(pages: readonly { readonly entries: readonly MapEntry[] }[]) {
  const all: MapEntry[] = [];
  for (const { compressed: _, ...entry } of pages.flatMap(({ entries }) => entries)) {
    const last = all.at(-1);
    const cut = last?.data === entry.data && last.present === entry.present && last.zero === entry.zero;
    const goesOn = last?.offset === undefined ? entry.offset === undefined : entry.offset === last.offset + last.length;
    if (last && cut && goesOn) all[all.length - 1] = { ...last, length: last.length + entry.length };
    else all.push(entry as MapEntry);
  }
  return all;
}

describe('a page of a map', () => {
  it.each([
    ['bytes', { maxBytes: 0, until: Number.POSITIVE_INFINITY }],
    ['time', { maxBytes: Number.POSITIVE_INFINITY, until: 0 }],
  ])('ends when it has cost its %s, and all of them together are the whole', async (_, limits) => {
    const { pages, expected } = await walk(limits);
    expect(pages).toHaveLength(4);
    expect(joined(pages)).toEqual(expected);
    for (const { bytes } of pages) expect(bytes).toBeLessThan(4 * MiB + 64 * KiB);
  });

  it('goes on over what has cost little', async () => {
    const { pages, expected } = await walk({ maxBytes: 16 * MiB, until: Number.POSITIVE_INFINITY });
    expect(pages).toHaveLength(1);
    expect(joined(pages)).toEqual(expected);
  });

  it('cut within a cluster’s table goes on where it ended', async () => {
    const { pages, expected } = await walk({ maxBytes: 16 * MiB, until: Number.POSITIVE_INFINITY, limit: 2 });
    expect(pages.length).toBe(Math.ceil(expected.length / 2));
    expect(joined(pages)).toEqual(expected);
  });
});
