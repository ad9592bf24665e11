import { readFile, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openImage } from '../../lib/format/image.ts';
import { inspect } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { openFile } from '../../lib/source/file.ts';
import { SNAPSHOT_DISKS } from '../recipes.ts';
import { asQemu72, besides, convertTo, differenceOf, inPieces, mapOf, openBytes } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

const CASES = Object.entries(SNAPSHOT_DISKS).flatMap(([name, recipe]) =>
  ['first', 'second'].map((snapshot) => [name, snapshot, recipe] as const),
);

describe.concurrent.each(CASES)('of the disk %s, the %s snapshot', (name, snapshot, recipe) => {
  it('converts to the bytes that are the disk’s once qemu-img goes back to it', async () => {
    const image = await qemu.made(name, recipe);
    const source = await openFile(image);
    const options = { ...besides(image), snapshot };
    const ours = await convertTo(qemu.folder, source, undefined, options);
    const pieces = await inPieces(source, options);
    await source.close();
    const theirs = await qemu.raw(await qemu.reverted(image, snapshot));
    const expected = await readFile(theirs);
    expect(differenceOf(await readFile(ours.path), expected)).toBeUndefined();
    expect(differenceOf(pieces, expected)).toBeUndefined();
    expect(ours.warnings).toEqual([]);
    await Promise.all([rm(ours.path), rm(theirs)]);
  });

  it('is mapped as the disk is once qemu-img goes back to it', async () => {
    const image = await qemu.made(name, recipe);
    const source = await openFile(image);
    const entries = await mapOf(source, { ...besides(image), snapshot });
    await source.close();
    const theirs = await qemu.map(await qemu.reverted(image, snapshot));
    expect(asQemu72(entries)).toEqual(theirs.filter(({ length }) => length > 0));
  });
});

describe.concurrent.each(Object.entries(SNAPSHOT_DISKS))('the disk %s, which has snapshots', (name, recipe) => {
  it('is converted and mapped as it is now, where none is chosen', async () => {
    const image = await qemu.made(name, recipe);
    const source = await openFile(image);
    const [ours, theirs] = [await convertTo(qemu.folder, source, undefined, besides(image)), await qemu.raw(image)];
    const entries = await mapOf(source, besides(image));
    await source.close();
    expect(differenceOf(await readFile(ours.path), await readFile(theirs))).toBeUndefined();
    expect(asQemu72(entries)).toEqual((await qemu.map(image)).filter(({ length }) => length > 0));
    await Promise.all([rm(ours.path), rm(theirs)]);
  });

  it('is described as qemu-img describes it, dates and all', async () => {
    const image = await qemu.made(name, recipe);
    const described = await inspect(await openImage(openBytes(await readFile(image))), image);
    const [ours, theirs] = [JSON.parse(toJson(described)), await qemu.info(image)].map(
      ({ unqcow: _, 'actual-size': __, ...rest }) => rest,
    );
    expect(ours.snapshots).toHaveLength(2);
    expect(ours).toEqual(theirs);
  });
});

describe('a snapshot', () => {
  const RECIPE = [
    'create -f qcow2 -o cluster_size=4k disk 1M',
    // The ids are 1, 2 and 3: a name may be another one's id.
    ...['one', '1', 'two=2,3'].flatMap((name, i) => [`io write -P ${i + 1} 0 64k`, `snapshot -c ${name} disk`]),
    'io write -P 9 0 64k',
  ];

  it.each([
    ['one', 1],
    ['1', 1],
    ['2', 2],
    ['two=2,3', 3],
    ['snapshot.id=1', 1],
    ['snapshot.name=1', 2],
    ['snapshot.name=one', 1],
    ['snapshot.name=two=2,,3', 3],
    ['snapshot.id=2,snapshot.name=1', 2],
  ])('is found by its id, or else its name: %s', async (wanted, byte) => {
    const source = await openFile(await qemu.made('choice', RECIPE));
    const { path } = await convertTo(qemu.folder, source, undefined, { snapshot: wanted });
    await source.close();
    expect((await readFile(path))[0]).toBe(byte);
  });
});
