import { execFile } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { appendFile, mkdir, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { MiB } from '../../lib/units.ts';
import { RECIPES, type Recipe, type RecipeName } from '../recipes.ts';

const run = promisify(execFile);

/** What `qemu-img map --output=json` prints. */
export interface QemuMapEntry {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset?: number;
}

/** A folder for a test file's images, and `qemu-img` as the oracle of what they mean. */
export interface Qemu {
  readonly folder: string;
  /** The path of a recipe's image; made once. It has no holes, since those change what `qemu-img` says. */
  image(name: RecipeName): Promise<string>;
  /** The path of an image made by these steps; made once for each name. Its other files lie beside it, without holes too. */
  made(name: string, recipe: Recipe): Promise<string>;
  /** The path of a copy in which the disk is again what it was when the snapshot was made; made once. */
  reverted(image: string, snapshot: string): Promise<string>;
  /** The path of an image that consists of these bytes. */
  imageOf(bytes: Uint8Array): Promise<string>;
  /** The path of an empty disk in another format. */
  other(format: string): Promise<string>;
  /** The path of the raw disk that `qemu-img convert` makes of an image. @throws if it refuses. */
  raw(image: string, format?: string): Promise<string>;
  map(image: string, format?: string): Promise<QemuMapEntry[]>;
  info(image: string): Promise<Record<string, unknown>>;
  /** What `qemu-img check` found. @throws if that is corruption or a leak. */
  check(image: string): Promise<Record<string, unknown>>;
  /** How two raw disks differ, if they do. It skips what is a hole in both, which reading them would not. */
  difference(left: string, right: string): Promise<string | undefined>;
  close(): Promise<void>;
}

export function openQemu(): Qemu {
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-qemu-'));
  const images = new Map<string, Promise<string>>();
  let files = 0;
  // It runs where the image is: that is where QEMU looks for a data file.
  const qemuImg = async (...args: string[]) => {
    const cwd = args.map(dirname).find((each) => each !== '.') ?? folder;
    return (await run('qemu-img', args, { cwd, maxBuffer: 64 * MiB })).stdout;
  };
  const reverted = new Map<string, Promise<string>>();
  const revert = async (image: string, snapshot: string) => {
    files += 1;
    const copy = join(folder, `reverted ${files}`);
    const path = join(copy, basename(image));
    const commands = [
      ['cp', '-r', '--sparse=never', dirname(image), copy],
      ['qemu-img', 'snapshot', '-q', '-a', snapshot, path],
    ];
    await runAll(commands, folder);
    return path;
  };
  const made = (name: string, recipe: Recipe) => {
    const known = images.get(name) ?? make(folder, name, recipe);
    images.set(name, known);
    return known;
  };
  return {
    folder,
    made,
    image: (name) => made(name, RECIPES[name]),
    reverted(image, snapshot) {
      const key = `${image} ${snapshot}`;
      const known = reverted.get(key) ?? revert(image, snapshot);
      reverted.set(key, known);
      return known;
    },
    async imageOf(bytes) {
      files += 1;
      const path = join(folder, `${files}.qcow2`);
      await writeFile(path, bytes);
      return path;
    },
    async other(format) {
      const path = join(folder, `empty.${format}`);
      await qemuImg('create', '-f', format, path, '4M');
      return path;
    },
    async raw(image, format = 'qcow2') {
      const path = `${image}.raw`;
      await qemuImg('convert', '-t', 'unsafe', '-f', format, '-O', 'raw', image, path);
      return path;
    },
    map: async (image, format = 'qcow2') => JSON.parse(await qemuImg('map', '-f', format, '--output=json', image)),
    info: async (image) => JSON.parse(await qemuImg('info', '-f', 'qcow2', '--output=json', image)),
    check: async (image) => JSON.parse(await qemuImg('check', '-f', 'qcow2', '--output=json', image)),
    async difference(left, right) {
      const [a, b] = await Promise.all([stat(left), stat(right)]);
      if (a.size !== b.size) return `${a.size} bytes are not ${b.size}`;
      return qemuImg('compare', '-f', 'raw', '-F', 'raw', left, right).then(
        () => undefined,
        ({ stdout, stderr }) => `${stdout}${stderr}`,
      );
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Runs a recipe in a folder of its own, and returns the path of the image in a copy that has no holes. */
async function make(parent: string, name: string, recipe: Recipe): Promise<string> {
  const cwd = join(parent, name);
  const whole = `${cwd} whole`;
  await mkdir(cwd);
  if (mentions(recipe, 'noise')) await writeFile(join(cwd, 'noise'), noise(MiB));
  if (mentions(recipe, 'text')) await writeFile(join(cwd, 'text'), noise(MiB / 2).toString('hex'));
  let commands: string[][] = [];
  let last = { file: 'disk', format: 'qcow2' };
  for (let at = 0; at < recipe.length; at += 1) {
    const words = (recipe[at] as string).split(' ');
    const own = FILE_STEPS[words[0] as string];
    const io = ioCommands(recipe, at);
    if (own) {
      await runAll(commands, cwd);
      commands = [];
      await own(join(cwd, words[1] as string), words[2] as string, words[3]);
    } else if (io.commands.length > 0) {
      const options = ['-f', last.format, '-d', 'unmap', '-t', 'unsafe'];
      commands.push(['qemu-io', ...options, ...io.commands.flatMap((each) => ['-c', each]), last.file]);
      at = io.next - 1;
    } else {
      if (words[0] === 'create') last = { file: words.at(-2) as string, format: words[2] as string };
      commands.push(['qemu-img', ...words]);
    }
  }
  await runAll([...commands, ['cp', '-r', '--sparse=never', cwd, whole]], cwd);
  await rm(cwd, { recursive: true });
  return join(whole, 'disk');
}

const mentions = (recipe: Recipe, word: string) => recipe.some((step) => step.split(' ').includes(word));

/** Steps that are no commands. */
const FILE_STEPS: Readonly<Record<string, (path: string, first: string, second?: string) => Promise<void>>> = {
  bytes: (path, length) => writeFile(path, noise(Number(length), basename(path))),
  append: (path, length) => appendFile(path, noise(Number(length))),
  async patch(path, at, hex = '') {
    const file = await open(path, 'r+');
    await file.write(Buffer.from(hex, 'hex'), 0, hex.length / 2, Number(at));
    await file.close();
  },
};

/** One after the other, from one shell: to fork this process, which is large, takes longer than most of them. */
async function runAll(commands: readonly string[][], cwd: string): Promise<void> {
  const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
  await run('sh', ['-ec', commands.map((words) => words.map(quoted).join(' ')).join('\n')], { cwd });
}

/** The `io` steps from `at` on: one process runs them all. */
function ioCommands(steps: Recipe, at: number): { commands: string[]; next: number } {
  const others = steps.slice(at).findIndex((step) => !step.startsWith('io '));
  const next = others < 0 ? steps.length : at + others;
  return { commands: steps.slice(at, next).map((step) => step.slice('io '.length)), next };
}

/** Bytes that do not compress, the same in every run. */
export function noise(length: number, seed = 'noise'): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}
