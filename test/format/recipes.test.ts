import { readFile, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openImage } from '../../lib/format/image.ts';
import { inspect } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { openFile } from '../../lib/source/file.ts';
import { FEATURE_RECIPES, RECIPES, type Recipes } from '../recipes.ts';
import { asQemu72, convertTo, mapOf, openBytes } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

const ALL: Recipes = { ...RECIPES, ...FEATURE_RECIPES };
/** What an image is warned of; the others get no warning. */
const WARNINGS: Readonly<Record<string, readonly string[]>> = { 'bitmaps-stale': ['BITMAPS_STALE'] };

describe.concurrent.each(Object.entries(ALL))('the image %s', (name, recipe) => {
  it('converts to the bytes that qemu-img makes of it', async () => {
    const image = await qemu.made(name, recipe);
    const source = await openFile(image);
    const [ours, theirs] = [await convertTo(qemu.folder, source), await qemu.raw(image)];
    await source.close();
    expect(await qemu.difference(ours.path, theirs)).toBeUndefined();
    expect(ours.warnings.map(({ code }) => code)).toEqual(WARNINGS[name] ?? []);
    await Promise.all([rm(ours.path), rm(theirs)]);
  });

  it('is mapped as qemu-img maps it', async () => {
    const image = await qemu.made(name, recipe);
    const entries = await mapOf(openBytes(await readFile(image)));
    // Of a disk of 0 bytes qemu-img prints an entry of 0 bytes.
    const theirs = (await qemu.map(image)).filter(({ length }) => length > 0);
    expect(asQemu72(entries)).toEqual(theirs);
  });

  it('is described as qemu-img describes it', async () => {
    const image = await qemu.made(name, recipe);
    const described = await inspect(await openImage(openBytes(await readFile(image))), image);
    // What a file takes on a file system is not what it has.
    const [ours, theirs] = [JSON.parse(toJson(described)), await qemu.info(image)].map(
      ({ unqcow: _, 'actual-size': __, ...rest }) => rest,
    );
    expect(ours).toEqual(theirs);
  });
});
