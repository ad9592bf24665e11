import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { checkDisk } from '../../lib/jobs/check-disk.ts';
import { CHAINS, DATA_FILES, FEATURE_RECIPES, RECIPES, type Recipes, SCATTERED, SNAPSHOT_DISKS } from '../recipes.ts';
import { openBytes } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';
import { asQemu, EXIT_CODES, qemuCheck } from './support.ts';

const qemu = useQemu();

const GROUPS: Readonly<Record<string, Recipes>> = {
  plain: RECIPES,
  features: FEATURE_RECIPES,
  scattered: SCATTERED,
  snapshots: SNAPSHOT_DISKS,
  chains: CHAINS,
  'data files': DATA_FILES,
};

describe.concurrent.each(Object.entries(GROUPS))('an image by recipe: %s', (group, recipes) => {
  it.each(Object.entries(recipes))('%s is checked as qemu-img checks it', async (name, recipe) => {
    const image = await qemu.made(`${group} ${name}`, recipe);
    const [report, theirs] = [
      await checkDisk(openBytes(await readFile(image)), { filename: image }),
      await qemuCheck(image),
    ];
    expect(asQemu(report)).toEqual(theirs.answer);
    expect(EXIT_CODES[report.unqcow.verdict]).toBe(theirs.code);
  });
});
