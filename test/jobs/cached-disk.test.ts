import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../lib/chunk/assemble.ts';
import { cachedDisk, withCachedTables } from '../../lib/jobs/cached-disk.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { openBytes, recorded } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

const BLOCK = 64 * KiB;

/** A raw file of that size, of a chain of many. */
function rawLayer(size: number, name: number) {
  const source = { ...recorded(openBytes(Buffer.alloc(size))), id: `file ${name}` };
  return { source, data: source, map: { geometry: { version: 'raw' as const, diskSize: size } } };
}

describe('a disk that is read through a cache', () => {
  it('has a table and a cluster that lie side by side by one read', async () => {
    const path = await qemu.made('side-by-side', [
      'create -f qcow2 -o cluster_size=4k disk 64M',
      'io write -P 1 0 64k',
      'io write -P 2 32M 4k',
    ]);
    const source = recorded(openBytes(await readFile(path)));
    const disk = cachedDisk(await openDisk(source, { kind: 'file', path }), { maxBytes: MiB });
    const opening = source.requests.length;
    const bytes = await assemble(disk, { start: 32 * MiB, end: 32 * MiB + 4 * KiB });
    expect(Buffer.from(bytes).equals(Buffer.alloc(4 * KiB, 2))).toBe(true);
    expect(source.requests.slice(opening)).toEqual([{ start: BLOCK, end: source.size }]);
  });

  it('keeps no more of all its files together than it may', async () => {
    const layers = Array.from({ length: 4 }, (_, i) => rawLayer(4 * BLOCK, i));
    const disk = cachedDisk({ size: 4 * BLOCK, layers }, { maxBytes: 4 * BLOCK });
    const requests = () => layers.reduce((sum, { source }) => sum + source.requests.length, 0);
    const readBlock = (block: number) =>
      Promise.all(disk.layers.map(({ data }) => data.read({ start: block * BLOCK, end: (block + 1) * BLOCK })));
    for (const block of [0, 1, 2, 3]) await readBlock(block);
    expect(requests()).toBe(16);
    await readBlock(3);
    expect(requests()).toBe(16);
    for (const block of [2, 1, 0]) await readBlock(block);
    expect(requests()).toBe(28);
  });
});

describe('the tables of backing files', () => {
  it.each([
    [2, 0],
    [64, 1],
  ])('of a chain of %i files share 256 MiB: 5 MiB of one, read again, cost %i request', async (files, cost) => {
    const layers = Array.from({ length: files }, (_, i) => rawLayer(i === 1 ? 5 * MiB : 1, i));
    const [, second] = withCachedTables(layers);
    const read = () => second?.source.read({ start: 0, end: 5 * MiB });
    await read();
    await read();
    expect(layers[1]?.source.requests).toHaveLength(1 + cost);
  });

  it('of the first file are not kept', async () => {
    const layers = [rawLayer(1, 0), rawLayer(1, 1)];
    expect(withCachedTables(layers)[0]).toBe(layers[0]);
  });
});
