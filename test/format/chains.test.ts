import { readFile, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openImage } from '../../lib/format/image.ts';
import { inspect } from '../../lib/format/info.ts';
import { toJson } from '../../lib/format/json.ts';
import { openFile } from '../../lib/source/file.ts';
import { CHAINS, DATA_FILES, type Recipe, VERSION_1_OVERLAYS } from '../recipes.ts';
import {
  asQemu72,
  besides,
  convertTo,
  differenceOf,
  inPieces,
  mapOf,
  openBytes,
  refusalOf,
} from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';

const qemu = useQemu();

const titled = (what: string, recipes: Readonly<Record<string, Recipe>>) =>
  Object.entries(recipes).map(([name, recipe]): [string, Recipe] => [`${what} ${name}`, recipe]);

/** Of files that a version 1 image is over, which states none. */
const FORMATS = { backingFormats: { '': 'raw', 'base.qcow': 'qcow', 'base.qcow2': 'qcow2', 'middle.qcow2': 'qcow2' } };

describe.concurrent.each([...titled('a backing chain', CHAINS), ...titled('an external data file', DATA_FILES)])(
  '%s',
  (name, recipe) => {
    it('converts to the bytes that qemu-img makes of it, in one piece or in many', async () => {
      const image = await qemu.made(name, recipe);
      const source = await openFile(image);
      const [ours, theirs] = [
        await convertTo(qemu.folder, source, undefined, besides(image, FORMATS)),
        await qemu.raw(image),
      ];
      const pieces = await inPieces(source, besides(image, FORMATS));
      await source.close();
      expect(differenceOf(await readFile(ours.path), await readFile(theirs))).toBeUndefined();
      expect(pieces.equals(await readFile(theirs))).toBe(true);
      expect(ours.warnings).toEqual([]);
      await Promise.all([rm(ours.path), rm(theirs)]);
    });

    it('is mapped as qemu-img maps it', async () => {
      const image = await qemu.made(name, recipe);
      const source = await openFile(image);
      const entries = await mapOf(source, besides(image, FORMATS));
      await source.close();
      expect(asQemu72(entries)).toEqual((await qemu.map(image)).filter(({ length }) => length > 0));
    });

    it('is described as qemu-img describes it', async () => {
      const image = await qemu.made(name, recipe);
      const described = await inspect(await openImage(openBytes(await readFile(image))), image);
      const [ours, theirs] = [JSON.parse(toJson(described)), await qemu.info(image)].map(
        ({ unqcow: _, 'actual-size': __, ...rest }) => rest,
      );
      expect(ours).toEqual(theirs);
    });

    it('is not opened past the first file unless the caller allows it', async () => {
      const image = await qemu.made(name, recipe);
      const { open, location } = besides(image);
      const source = await openFile(image);
      const opened: unknown[] = [];
      const spied = async (place: Parameters<NonNullable<typeof open>>[0]) => {
        opened.push(place);
        return openFile(image);
      };
      const refusal = await refusalOf(
        convertTo(qemu.folder, source, undefined, { location: location as never, open: spied }),
      );
      await source.close();
      expect([refusal?.code, opened]).toEqual(['EXTERNAL_REF_DENIED', []]);
    });
  },
);

describe.concurrent.each(titled('a version 1 image', VERSION_1_OVERLAYS))('%s', (name, recipe) => {
  it('converts to the bytes that qemu-img makes of it, in one piece or in many', async () => {
    const image = await qemu.made(name, recipe);
    const source = await openFile(image);
    const ours = await convertTo(qemu.folder, source, undefined, besides(image, FORMATS));
    const pieces = await inPieces(source, besides(image, FORMATS));
    await source.close();
    const theirs = await readFile(await qemu.raw(image, 'qcow'));
    expect(differenceOf(await readFile(ours.path), theirs)).toBeUndefined();
    expect(differenceOf(pieces, theirs)).toBeUndefined();
  });

  it('is mapped as qemu-img maps it', async () => {
    const image = await qemu.made(name, recipe);
    const source = await openFile(image);
    const entries = await mapOf(source, besides(image, FORMATS));
    await source.close();
    expect(asQemu72(entries)).toEqual(await qemu.map(image, 'qcow'));
  });
});

it('a backing file of format `file` is read as it lies, as QEMU does', async () => {
  const image = await qemu.made('backing format file', [
    'bytes base 1048576',
    'create -f qcow2 -u -b base -F file disk 1M',
    'io write -P 6 64k 64k',
  ]);
  const source = await openFile(image);
  const [ours, theirs] = [await convertTo(qemu.folder, source, undefined, besides(image)), await qemu.raw(image)];
  await source.close();
  expect(differenceOf(await readFile(ours.path), await readFile(theirs))).toBeUndefined();
});
