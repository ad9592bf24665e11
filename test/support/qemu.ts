import { execFile } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MiB } from '../../lib/units.ts';
import { RECIPES, type RecipeName } from '../recipes.ts';

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
  /** The path of an image that consists of these bytes. */
  imageOf(bytes: Uint8Array): Promise<string>;
  /** The path of an empty disk in another format. */
  other(format: string): Promise<string>;
  /** The path of the raw disk that `qemu-img convert` makes of an image. @throws if it refuses. */
  raw(image: string): Promise<string>;
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
  const made = new Map<RecipeName, Promise<string>>();
  let files = 0;
  const qemuImg = async (...args: string[]) => (await run('qemu-img', args, { maxBuffer: 64 * MiB })).stdout;
  return {
    folder,
    image(name) {
      const known = made.get(name) ?? make(folder, name);
      made.set(name, known);
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
    async raw(image) {
      const path = `${image}.raw`;
      await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', image, path);
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

/** Makes a recipe's image in a folder of its own, and returns the path of a copy without holes. */
async function make(parent: string, name: RecipeName): Promise<string> {
  const cwd = join(parent, name);
  await mkdir(cwd);
  await writeFile(join(cwd, 'noise'), noise(MiB));
  const steps: readonly string[] = RECIPES[name];
  for (let at = 0, file = 'disk'; at < steps.length; at += 1) {
    const step = steps[at] as string;
    const { commands, next } = ioCommands(steps, at);
    if (commands.length > 0) {
      await run('qemu-io', ['-f', 'qcow2', '-d', 'unmap', ...commands.flatMap((each) => ['-c', each]), file], { cwd });
      at = next - 1;
      continue;
    }
    const words = step.split(' ');
    if (words[0] === 'create') file = words.at(-2) as string;
    await run('qemu-img', words, { cwd });
  }
  const image = join(parent, `${name}.qcow2`);
  await run('cp', ['--sparse=never', join(cwd, 'disk'), image]);
  return image;
}

/** The `io` steps from `at` on: one process runs them all. */
function ioCommands(steps: readonly string[], at: number): { commands: string[]; next: number } {
  const others = steps.slice(at).findIndex((step) => !step.startsWith('io '));
  const next = others < 0 ? steps.length : at + others;
  return { commands: steps.slice(at, next).map((step) => step.slice('io '.length)), next };
}

/** Bytes that do not compress, the same in every run. */
export function noise(length: number, seed = 'noise'): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}
