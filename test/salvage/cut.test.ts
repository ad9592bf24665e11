import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFile } from '../../lib/source/file.ts';
import { MiB } from '../../lib/units.ts';
import { FEATURE_RECIPES, RECIPES, type Recipe } from '../recipes.ts';
import { u64s } from '../support/hostile.ts';
import { AT_V1, makeQcow1, qcow1Bytes } from '../support/hostile-v1.ts';
import { besides, convertTo, openBytes, refusalOf } from '../support/images.ts';
import { noise } from '../support/qemu.ts';
import { useQemu } from '../support/use-qemu.ts';
import { fatesOf } from './expected.ts';
import { expectKept, lostSectors, salvage } from './support.ts';

const qemu = useQemu();

const ALL: Readonly<Record<string, Recipe>> = { ...RECIPES, ...FEATURE_RECIPES };

const STANDARD = [
  'clusters-512',
  'clusters-4k',
  'clusters-64k',
  'v2-plain',
  'v2-compressed',
  'compressed-small-clusters',
  'compressed-among-plain',
  'compressed-of-noise',
  'zstd-rewritten',
  'many-l2-tables',
  'grown-by-little',
  'fragmented-small-clusters',
];

/** Extended entries; files of some end inside a cluster, after its last allocated subcluster. */
const EXTENDED = ['extl2-grown', 'extl2-last-subcluster-partial', 'extl2-file-ends-mid-cluster', 'extl2-refcount-1'];

/** Steps for `makeQcow1`; `noise` lies beside them. */
const VERSION_1 = {
  plain: ['create -f qcow disk 9M', 'io disk write -P 1 1M 3M', 'io disk write -P 2 8M 4k'],
  compressed: ['convert -c -f raw -O qcow noise disk'],
  mixed: ['convert -c -f raw -O qcow noise disk', 'io disk write -P 9 100k 10k'],
};

/** Lengths that files are cut to: each 12th, off clusters' boundaries but on sectors', and just before the end. */
function cutsOf(length: number): number[] {
  const sectors = Math.floor(length / 512);
  const many = Array.from({ length: 12 }, (_, i) => Math.floor(((i + 0.37) * sectors) / 12) * 512);
  return [...many, (sectors - 1) * 512].filter((cut) => cut >= 1024);
}

describe('a cut image of standard entries', () => {
  it.each(STANDARD)('loses what lay past the cut, and nothing else: %s', async (name) => {
    const image = await qemu.made(name, ALL[name] as Recipe);
    const bytes = await readFile(image);
    const undamaged = await readFile(await qemu.raw(image));
    for (const cut of cutsOf(bytes.length)) {
      const salvaged = await salvage(qemu.folder, bytes.subarray(0, cut));
      expectKept(salvaged, undamaged);
      const lost = lostSectors(salvaged.lost, undamaged.length);
      const fates = fatesOf(bytes, { diskSize: undamaged.length, cut });
      const wrong = fates.findIndex((fate, i) => fate !== 'unknown' && (fate === 'lost') !== lost[i]);
      expect({ cut, wrong }).toEqual({ cut, wrong: -1 });
    }
  });

  it.each([...STANDARD, ...EXTENDED])('loses nothing when it is not cut: %s', async (name) => {
    const image = await qemu.made(name, ALL[name] as Recipe);
    const { raw, lost } = await salvage(qemu.folder, await readFile(image));
    expect(lost).toEqual({ bytes: 0, extents: [], more: 0 });
    expect(raw.equals(await readFile(await qemu.raw(image)))).toBe(true);
  });
});

describe('a cut image', () => {
  it.each(EXTENDED)('of extended entries keeps what it can: %s', async (name) => {
    const image = await qemu.made(name, ALL[name] as Recipe);
    const bytes = await readFile(image);
    const undamaged = await readFile(await qemu.raw(image));
    for (const cut of cutsOf(bytes.length)) {
      if (cut >= 0x10000) expectKept(await salvage(qemu.folder, bytes.subarray(0, cut)), undamaged);
    }
  });

  it.each(Object.entries(VERSION_1))('of version 1 keeps what it can: %s', async (_, recipe) => {
    const folder = await mkdtemp(join(qemu.folder, 'v1-'));
    await writeFile(join(folder, 'noise'), noise(300_032));
    const image = await makeQcow1(folder, recipe);
    const bytes = await readFile(image);
    const undamaged = await readFile(await qemu.raw(image, 'qcow'));
    for (const cut of cutsOf(bytes.length)) {
      if (cut >= 0x2000) expectKept(await salvage(qemu.folder, bytes.subarray(0, cut)), undamaged);
    }
  });

  it('of version 1 whose L1 table is cut keeps what the entries that are there lead to', async () => {
    const end = AT_V1.data + 2 * 4096;
    const coverage = 2 * MiB;
    const data = [noise(4096), noise(4096)];
    const l1 = u64s([BigInt(AT_V1.l2), 0n]).subarray(0, 12);
    const image = {
      size: BigInt(2 * coverage),
      data,
      header: { l1TableOffset: end },
      patches: { [end]: l1 },
      fileSize: end + 12,
    };
    const { raw, lost } = await salvage(qemu.folder, qcow1Bytes(image));
    expect(raw.subarray(0, 8192).equals(Buffer.concat(data))).toBe(true);
    expect(raw).toHaveLength(2 * coverage);
    expect(lost.extents).toMatchObject([{ start: coverage, length: coverage, code: 'L1_BEYOND_EOF' }]);
    const refusal = await refusalOf(convertTo(qemu.folder, openBytes(qcow1Bytes(image))));
    expect(refusal?.code).toBe('L1_BEYOND_EOF');
  });

  it('of version 1 whose L1 table is too long to be held, and cut, is refused', async () => {
    const entries = 2n ** 22n + 1n; // 32 MiB, and one
    const image = qcow1Bytes({
      size: entries * 2n ** 21n,
      l1: [BigInt(AT_V1.l2)],
      header: { l1TableOffset: AT_V1.data },
    });
    expect((await refusalOf(salvage(qemu.folder, image)))?.code).toBe('L1_BEYOND_EOF');
  });

  it('is not guessed at without being asked', async () => {
    const bytes = await readFile(await qemu.image('clusters-64k'));
    const refusal = await refusalOf(convertTo(qemu.folder, openBytes(bytes.subarray(0, 400_000))));
    expect(refusal?.code).toBe('CLUSTER_BEYOND_EOF');
  });
});

describe('a cut backing file', () => {
  it('loses what only it has; what lies over it stays', async () => {
    const recipe = [
      'create -f qcow2 base 4M',
      'io write -s noise 0 1M',
      'create -f qcow2 -b base -F qcow2 disk 4M',
      'io write -P 7 896k 128k',
    ];
    const image = await qemu.made('cut backing file', recipe);
    const undamaged = await readFile(await qemu.raw(image));
    const base = await readFile(join(dirname(image), 'base'));
    const cut = base.length - 4 * 65_536 - 512;
    const file = { ...(await openFile(image)) };
    const open = async () => openBytes(base.subarray(0, cut));
    const salvaged = await salvage(qemu.folder, file, { ...besides(image), open });
    await file.close();
    expectKept(salvaged, undamaged);
    expect(salvaged.lost.extents).toMatchObject([
      { start: 1024 * 1024 - 4 * 65_536 - 512, length: 2 * 65_536 + 512, depth: 1, code: 'CLUSTER_BEYOND_EOF' },
    ]);
  });
});
