import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { inspectAny } from '../../lib/format/inspect.ts';
import { openAny } from '../../lib/format/open-any.ts';
import { openFile } from '../../lib/source/file.ts';
import { EXT, imageBytes } from '../support/hostile.ts';
import { openBytes } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';
import { featureNames } from './hostile/header-rows.ts';

const run = promisify(execFile);
const qemu = useQemu();

it.each([
  ['that has its data there', 4n],
  ['that has its data inside all the same', 0n],
])('the name of a data file is told as qemu-img tells it, of an image %s', async (_, incompatibleFeatures) => {
  const path = await qemu.imageOf(
    imageBytes({ extensions: [{ type: EXT.dataFile, data: 'disk.data' }], header: { incompatibleFeatures } }),
  );
  const theirs = (await qemu.info(path)) as { 'format-specific': { data: object } };
  const source = await openFile(path);
  const ours = (await inspectAny(await openAny(source), path)) as unknown as typeof theirs;
  expect(ours['format-specific'].data).toEqual(theirs['format-specific'].data);
  expect(ours['format-specific'].data).toHaveProperty('data-file', 'disk.data');
  await source.close();
});

it('features are told by the specification’s names, others by the image’s own, else by number', async () => {
  const names = featureNames([5, 'later'], [0, 'slow'], [0, 'mine', 1], [7, 'seven', 1], [8, 'eight', 2], [9, '', 2]);
  const header = { incompatibleFeatures: 0x61, compatibleFeatures: 0x81, autoclearFeatures: 0x300 };
  const image = imageBytes({ extensions: [{ type: EXT.featureNames, data: names }], header });
  const { unqcow } = await inspectAny(await openAny(openBytes(image)), 'disk');
  expect(unqcow).toHaveProperty('features', {
    incompatible: ['dirty', 'later', 'unknown incompatible feature 6'],
    compatible: ['lazy refcounts', 'seven'],
    autoclear: ['eight', 'unknown autoclear feature 9'],
  });
});

it.each(['sub/overlay', './sub/overlay', './overlay', 'overlay', 'sub//overlay'])(
  'a backing file is told beside its overlay as qemu-img tells it: %s',
  async (filename) => {
    for (const name of ['../base', 'base', './a:b', 'a//b', '/base']) {
      const bytes = imageBytes({ backing: name, extensions: [{ type: EXT.backingFormat, data: 'raw' }] });
      await mkdir(join(qemu.folder, 'sub'), { recursive: true });
      await writeFile(join(qemu.folder, filename), bytes);
      const { stdout } = await run('qemu-img', ['info', '--output=json', filename], { cwd: qemu.folder });
      const key = 'full-backing-filename';
      const ours = await inspectAny(await openAny(openBytes(bytes)), filename);
      expect([name, ours[key as keyof typeof ours]]).toEqual([name, JSON.parse(stdout)[key]]);
    }
  },
);
