import { readFile, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openFile } from '../../lib/source/file.ts';
import { SCATTERED } from '../recipes.ts';
import { asQemu72, besides, convertTo, differenceOf, inPieces, mapOf } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

describe.concurrent.each(Object.entries(SCATTERED))('subclusters in any mix: %s', (name, recipe) => {
  it('convert to the bytes that qemu-img makes of them, in one piece or in many', async () => {
    const image = await qemu.made(name, recipe);
    const source = await openFile(image);
    const [ours, theirs] = [await convertTo(qemu.folder, source, undefined, besides(image)), await qemu.raw(image)];
    const pieces = await inPieces(source, besides(image));
    await source.close();
    const expected = await readFile(theirs);
    expect(differenceOf(await readFile(ours.path), expected)).toBeUndefined();
    expect(differenceOf(pieces, expected)).toBeUndefined();
    expect(ours.warnings).toEqual([]);
    await Promise.all([rm(ours.path), rm(theirs)]);
  });

  it('are mapped as qemu-img maps them', async () => {
    const image = await qemu.made(name, recipe);
    const source = await openFile(image);
    const entries = await mapOf(source, besides(image));
    await source.close();
    expect(asQemu72(entries)).toEqual(await qemu.map(image));
  });
});

describe('the recipes for subclusters', () => {
  it('leave allocated, zero and unallocated subclusters in one cluster, with and without space set aside', async () => {
    const image = await qemu.made('scattered-64k', SCATTERED['scattered-64k'] ?? []);
    const kinds = (await qemu.map(image)).map((entry) => {
      const state = entry.present ? (entry.zero ? 'zero' : 'data') : 'unallocated';
      return `${state}${entry.offset === undefined ? '' : ' at an offset'}`;
    });
    expect([...new Set(kinds)].sort()).toEqual([
      'data at an offset',
      'unallocated',
      'unallocated at an offset',
      'zero',
      'zero at an offset',
    ]);
  });
});
