import { execFile } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
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
  /** The path of an image made by these steps; once for each name. Its other files lie beside it, without holes too. */
  made(name: string, recipe: Recipe): Promise<string>;
  /** The path of a copy in which the disk is again what it was when the snapshot was made. */
  reverted(image: string, snapshot: string): Promise<string>;
  /** The path of an image that consists of these bytes. */
  imageOf(bytes: Uint8Array): Promise<string>;
  /** The path of an empty disk in another format. */
  other(format: string): Promise<string>;
  /** The path of the raw disk that `qemu-img convert` makes of an image. @throws if it refuses. */
  raw(image: string, format?: string): Promise<string>;
  map(image: string): Promise<QemuMapEntry[]>;
  info(image: string): Promise<Record<string, unknown>>;
  /** What `qemu-img check` found. @throws if that is corruption or a leak. */
  check(image: string): Promise<Record<string, unknown>>;
  /** How two raw disks differ, if they do. It skips what is a hole in both, which reading them would not. */
  difference(left: string, right: string): Promise<string | undefined>;
  close(): Promise<void>;
}

export async function useQemu(): Promise<Qemu> {
  const folder = await mkdtemp(join(tmpdir(), 'unqcow-qemu-'));
  const images = new Map<string, Promise<string>>();
  let files = 0;
  const qemuImg = async (...args: string[]) => (await run('qemu-img', args, { maxBuffer: 64 * MiB })).stdout;
  const made = (name: string, recipe: Recipe) => {
    const known = images.get(name) ?? make(folder, name, recipe);
    images.set(name, known);
    return known;
  };
  return {
    folder,
    made,
    image: (name) => made(name, RECIPES[name]),
    async reverted(image, snapshot) {
      files += 1;
      const copy = join(folder, `reverted ${files}`);
      await run('cp', ['-r', '--sparse=never', dirname(image), copy]);
      await qemuImg('snapshot', '-q', '-a', snapshot, join(copy, basename(image)));
      await run('cp', ['-r', '--sparse=never', copy, `${copy} whole`]);
      await rm(copy, { recursive: true });
      return join(`${copy} whole`, basename(image));
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
      await qemuImg('convert', '-f', format, '-O', 'raw', image, path);
      return path;
    },
    map: async (image) => JSON.parse(await qemuImg('map', '-f', 'qcow2', '--output=json', image)),
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
  await mkdir(cwd);
  if (mentions(recipe, 'noise')) await writeFile(join(cwd, 'noise'), noise(MiB));
  if (mentions(recipe, 'text')) await writeFile(join(cwd, 'text'), noise(MiB / 2).toString('hex'));
  for (let at = 0, last: Created = { file: 'disk', format: 'qcow2' }; at < recipe.length; at += 1) {
    const words = (recipe[at] as string).split(' ');
    const { commands, next } = ioCommands(recipe, at);
    if (commands.length > 0) {
      const args = ['-f', last.format, '-d', 'unmap', ...commands.flatMap((each) => ['-c', each]), last.file];
      // It exits 0 whatever a command did.
      const { stdout, stderr } = await run('qemu-io', args, { cwd });
      const complaint = /^.*(failed|error|not supported|invalid|usage|not found).*$/im.exec(stdout + stderr);
      if (complaint) throw new Error(`${name}: ${complaint[0]}`);
      at = next - 1;
    } else if (words[0] === 'bytes') {
      await writeFile(join(cwd, words[1] as string), noise(Number(words[2]), words[1]));
    } else if (words[0] === 'append') {
      await appendFile(join(cwd, words[1] as string), noise(Number(words[2])));
    } else if (words[0] === 'patch') {
      await patch(join(cwd, words[1] as string), Number(words[2]), Buffer.from(words[3] as string, 'hex'));
    } else {
      if (words[0] === 'create') last = { file: words.at(-2) as string, format: words[2] as string };
      await run('qemu-img', words, { cwd });
    }
  }
  const whole = `${cwd} whole`;
  await run('cp', ['-r', '--sparse=never', cwd, whole]);
  await rm(cwd, { recursive: true });
  return join(whole, 'disk');
}

interface Created {
  readonly file: string;
  readonly format: string;
}

const mentions = (recipe: Recipe, word: string) => recipe.some((step) => step.split(' ').includes(word));

async function patch(path: string, at: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, at);
  await file.close();
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
