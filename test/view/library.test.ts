import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkImage, type DiskImage, openImage, UnqcowError } from '../../lib/index.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { FEATURE_RECIPES, RECIPES, type Recipe, type Recipes } from '../recipes.ts';
import { COPIED, imageBytes } from '../support/hostile.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

/** Of everything that makes reading a few bytes differ from reading all. */
const READ = [
  'clusters-512',
  'compressed-among-plain',
  'v2-2m',
  'fragmented-small-clusters',
  'extl2-file-ends-mid-cluster',
  'zstd-rewritten',
  'size-513',
];
const ALL: Recipes = { ...RECIPES, ...FEATURE_RECIPES };

describe('reading a disk by ranges', () => {
  it.each(READ)('%s: 400 random ranges are the bytes of qemu-img convert', async (name) => {
    const path = await qemu.made(name, ALL[name] as Recipe);
    const raw = await readFile(await qemu.raw(path));
    await using image = await openImage(path);
    expect(image.size).toBe(raw.length);
    const range = fc
      .tuple(fc.nat(raw.length), fc.oneof(fc.nat(600), fc.nat(200 * KiB)))
      .map(([start, length]) => ({ start, end: Math.min(start + length, raw.length) }));
    await fc.assert(
      fc.asyncProperty(range, async ({ start, end }) => {
        const bytes = await image.read({ start, end });
        expect(raw.subarray(start, end).equals(bytes)).toBe(true);
      }),
      { numRuns: 400 },
    );
    expect(raw.equals(await image.read({ start: 0, end: raw.length }))).toBe(true);
  });

  it('comes in pieces of at most 8 MiB', async () => {
    await using image = await openImage(await qemu.image('second-l2-table'));
    const lengths: number[] = [];
    for await (const piece of image.stream({ start: 3, end: 30 * MiB + 1 })) lengths.push(piece.length);
    expect(lengths).toEqual([8 * MiB - 3, 8 * MiB, 8 * MiB, 6 * MiB + 1]);
  });

  it.each([
    { start: -1, end: 0 },
    { start: 5, end: 4 },
    { start: 0, end: 16 * MiB + 1 },
  ])('refuses what is not on the disk: $start to $end', async (range) => {
    await using image = await openImage(await qemu.image('clusters-64k'));
    await expect(image.read(range)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });
});

describe('the library', () => {
  let path: string;
  let image: DiskImage;
  beforeAll(async () => {
    path = await qemu.image('snapshot');
    image = await openImage(path);
  });
  afterAll(() => image.close());

  it('says what qemu-img says of an image', async () => {
    const { 'actual-size': _, ...theirs } = await qemu.info(path);
    expect(
      JSON.parse(
        JSON.stringify(await image.info(), (__, value) => (typeof value === 'bigint' ? Number(value) : value)),
      ),
    ).toMatchObject({ ...theirs, filename: path });
  });

  it('says what qemu-img says of its map', async () => {
    const entries = await Array.fromAsync(image.extents());
    expect(entries.map(({ compressed: _, ...entry }) => entry)).toEqual(await qemu.map(path));
  });

  it('converts, with progress', async () => {
    const target = join(qemu.folder, 'library.raw');
    let done = 0;
    const result = await image.convert(target, {
      onProgress: (bytes) => {
        done = bytes;
      },
    });
    expect(result.size).toBe(image.size);
    expect(done).toBe(image.size);
    expect((await stat(target)).size).toBe(image.size);
    expect(await qemu.difference(target, await qemu.raw(path))).toBeUndefined();
  });

  it('opens a snapshot by its name', async () => {
    const [first] = ((await qemu.info(path)) as { snapshots: { name: string }[] }).snapshots;
    await using snapshot = await openImage(path, { snapshot: first?.name as string });
    const raw = await readFile(await qemu.raw(await qemu.reverted(path, first?.name as string)));
    expect(raw.equals(await snapshot.read({ start: 0, end: snapshot.size }))).toBe(true);
  });

  it('refuses by a code, and leaves nothing open', async () => {
    await expect(openImage(path, { snapshot: 'none' })).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
    await expect(openImage(join(qemu.folder, 'nowhere'))).rejects.toBeInstanceOf(UnqcowError);
    await expect(openImage('https://example.com/disk.qcow2')).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });
});

describe('checking an image', () => {
  it('says what qemu-img check says', async () => {
    const path = await qemu.image('compressed-among-plain');
    const { unqcow, ...report } = await checkImage(path, { deep: true });
    expect(report).toEqual(await qemu.check(path));
    expect(unqcow.verdict).toBe('clean');
  });

  it('tells what is wrong with one that cannot be converted', async () => {
    const path = await qemu.imageOf(imageBytes({ l2: [COPIED | 0x70_0000n] }));
    await using image = await openImage(path);
    await expect(image.read({ start: 0, end: 512 })).rejects.toMatchObject({ code: 'CLUSTER_BEYOND_EOF' });
    expect(await checkImage(path)).toMatchObject({ unqcow: { verdict: 'corrupt' } });
  });
});
