import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GiB, KiB, MiB } from '../../lib/units.ts';

const DISK_SIZE = 4 * GiB;
/** With the file system's own tables, about 28 % of the disk. */
const FILES = 1100 * MiB;
const LONGEST_FILE = 64 * MiB;
const SEED = 'unqcow';

/** How each image is made out of the raw disk, by `qemu-img` alone. */
const RECIPES = {
  plain: (raw, image) => [convert(raw, image)],
  deflate: (raw, image) => [convert(raw, image, '-c')],
  zstd: (raw, image) => [convert(raw, image, '-c', '-o', 'compression_type=zstd')],
  'extended-l2': (raw, image) => [convert(raw, image, '-o', 'extended_l2=on')],
  // Each write below lands on a cluster that a snapshot holds, so it goes to the end of the file.
  snapshots: (raw, image) => [
    convert(raw, image),
    ...Array.from({ length: 50 }, (_, n) => [snapshot(image, n), writes(image, `snapshots-${n}`, 20)]).flat(),
  ],
  fragmented: (raw, image) => [convert(raw, image), snapshot(image, 0), writes(image, 'fragmented', 4_000)],
} as const satisfies Record<string, (raw: string, image: string) => Step[]>;

export type ImageName = keyof typeof RECIPES;
export const IMAGE_NAMES = Object.keys(RECIPES) as ImageName[];

/** A program and its arguments. */
type Step = readonly [string, ...string[]];

const convert = (raw: string, image: string, ...options: string[]): Step => [
  'qemu-img',
  ...['convert', '-O', 'qcow2', ...options, raw, image],
];
const snapshot = (image: string, n: number): Step => ['qemu-img', 'snapshot', '-c', `s${n}`, image];

/** Writes of 4 to 64 KiB, all over the first 1.5 GiB of the disk, where its files lie. */
function writes(image: string, seed: string, count: number): Step {
  const commands = Array.from({ length: count }, (_, i) => {
    const at = Math.floor(fraction(`${seed}:${i}:at`) * ((1536 * MiB) / (4 * KiB))) * 4 * KiB;
    const length = Math.ceil(fraction(`${seed}:${i}:length`) * 16) * 4 * KiB;
    return ['-c', `write -q -P ${(i % 255) + 1} ${at} ${length}`];
  });
  return ['qemu-io', ...commands.flat(), image];
}

/** A number in [0, 1) that is the same for the same text. */
function fraction(text: string): number {
  return createHash('sha256').update(`${SEED}:${text}`).digest().readUInt32BE() / 2 ** 32;
}

export interface Corpus {
  /** The disk that all images but the last two hold. */
  readonly raw: string;
  readonly images: Readonly<Record<ImageName, string>>;
}

/**
 * Makes the images in `dir`, or takes those that are there: a disk of 4 GiB with an ext4 file system full of this
 * machine's own programs and libraries, chosen by hash, and the same disk as `qemu-img` stores it in several ways.
 */
export async function makeCorpus(dir: string, names: readonly ImageName[]): Promise<Corpus> {
  await mkdir(dir, { recursive: true });
  const raw = join(dir, 'disk.raw');
  if (!existsSync(raw)) await makeDisk(raw);
  const images = Object.fromEntries(IMAGE_NAMES.map((name) => [name, join(dir, `${name}.qcow2`)])) as Corpus['images'];
  for (const name of names) {
    const image = images[name];
    if (existsSync(image)) continue;
    const unfinished = `${image}.part`;
    for (const [program, ...args] of RECIPES[name](raw, unfinished)) execFileSync(program, args, { stdio: 'pipe' });
    await rename(unfinished, image);
  }
  return { raw, images };
}

async function makeDisk(raw: string): Promise<void> {
  const tree = `${raw}.tree`;
  const unfinished = `${raw}.part`;
  await rm(tree, { recursive: true, force: true });
  for (const file of await chosenFiles()) {
    await mkdir(join(tree, dirname(file)), { recursive: true });
    await cp(file, join(tree, file));
  }
  await writeFile(unfinished, '');
  const options = [
    '-q',
    '-F',
    '-U',
    '75c0f3e0-0000-4000-8000-000000000001',
    '-E',
    'hash_seed=75c0f3e0-0000-4000-8000-000000000002',
  ];
  execFileSync('mkfs.ext4', [...options, '-d', tree, unfinished, `${DISK_SIZE / KiB}k`], {
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    stdio: 'pipe',
  });
  await rm(tree, { recursive: true });
  await rename(unfinished, raw);
}

/** Regular files of /usr in the order of their names' hashes, until there are enough. */
async function chosenFiles(): Promise<string[]> {
  const entries = await readdir('/usr', { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const ordered = files.map((file) => [fraction(file), file] as const).sort(([a], [b]) => a - b);
  const chosen: string[] = [];
  let bytes = 0;
  for (const [, file] of ordered) {
    const { size } = await stat(file);
    if (size > LONGEST_FILE) continue;
    if (bytes + size > FILES) break;
    bytes += size;
    chosen.push(file);
  }
  return chosen;
}
