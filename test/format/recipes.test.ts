import { readFile, rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openImage } from '../../lib/format/image.ts';
import { describe as describeImage } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { openFile } from '../../lib/source/file.ts';
import { RECIPES, type RecipeName } from '../recipes.ts';
import { convertTo, mapOf, openBytes } from '../support/images.ts';
import { type Qemu, useQemu } from '../support/qemu.ts';

let qemu: Qemu;
beforeAll(async () => {
  qemu = await useQemu();
});
afterAll(() => qemu.close());

/** Keys of `qemu-img info` that tell of the file system, or that are not read yet. */
const NOT_COMPARED = ['actual-size', 'filename', 'snapshots'];

describe.concurrent.each(Object.keys(RECIPES) as RecipeName[])('the image %s', (name) => {
  it('converts to the bytes that qemu-img makes of it', async () => {
    const image = await qemu.image(name);
    const source = await openFile(image);
    const [ours, theirs] = [await convertTo(qemu.folder, source), await qemu.raw(image)];
    await source.close();
    expect(await qemu.difference(ours.path, theirs)).toBeUndefined();
    expect(ours.warnings).toEqual([]);
    await Promise.all([rm(ours.path), rm(theirs)]);
  });

  it('is mapped as qemu-img maps it', async () => {
    const image = await qemu.image(name);
    const entries = await mapOf(openBytes(await readFile(image)));
    // Of a disk of 0 bytes qemu-img prints an entry of 0 bytes.
    const theirs = (await qemu.map(image)).filter(({ length }) => length > 0);
    expect(entries.map(({ compressed: _, ...entry }) => entry)).toEqual(theirs);
  });

  it('is described as qemu-img describes it', async () => {
    const image = await qemu.image(name);
    const described = describeImage(await openImage(openBytes(await readFile(image))), image);
    const theirs = Object.entries(await qemu.info(image)).filter(([key]) => !NOT_COMPARED.includes(key));
    expect(JSON.parse(toJson(described))).toMatchObject(Object.fromEntries(theirs));
  });
});
