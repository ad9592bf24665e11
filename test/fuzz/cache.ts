import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openQemu } from '../support/qemu.ts';
import { SEEDS, type Seed } from './seeds.ts';

/** Kept from run to run, since QEMU takes longer to make them than it takes to try hundreds of cases. */
const CACHE = join(import.meta.dirname, '../../.unqcow/fuzz-seeds');

/** A seed's files, by name; the image is `disk`. */
export interface SeedFiles {
  readonly files: Readonly<Record<string, Buffer>>;
  /** Where they lie; nothing for an image that was built byte by byte. */
  readonly folder?: string;
}

const known = new Map<string, Promise<SeedFiles>>();

/** Reads a seed; makes it first where it was never made. */
export function seedFiles(name: string): Promise<SeedFiles> {
  const files = known.get(name) ?? read(SEEDS[name] as Seed);
  known.set(name, files);
  return files;
}

async function read({ made }: Seed): Promise<SeedFiles> {
  if (made instanceof Uint8Array) return { files: { disk: Buffer.from(made) } };
  const folder = join(CACHE, createHash('sha256').update(JSON.stringify(made)).digest('hex').slice(0, 20));
  if (!(await stat(folder).catch(() => undefined))) await make(made, folder);
  const names = (await readdir(folder)).filter((name) => name !== 'text' && name !== 'noise');
  const files = await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))]));
  return { files: Object.fromEntries(files), folder };
}

/** What lies under its name is whole: it is made elsewhere, and renamed. Creating LUKS fails at random in QEMU. */
async function make(recipe: readonly string[], folder: string): Promise<void> {
  const qemu = openQemu();
  const draft = `${folder}.${process.pid}`;
  try {
    for (let attempt = 1; ; attempt += 1) {
      const made = await qemu.made(`seed ${attempt}`, recipe).catch((error: Error) => error);
      if (made instanceof Error && attempt === 30) throw made;
      if (made instanceof Error) continue;
      await mkdir(CACHE, { recursive: true });
      await cp(join(made, '..'), draft, { recursive: true });
      // Somebody else may have been faster.
      await rename(draft, folder).catch(() => rm(draft, { recursive: true }));
      return;
    }
  } finally {
    await qemu.close();
  }
}
