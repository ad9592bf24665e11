import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { EXT } from '../support/hostile.ts';
import { seedFiles } from './cache.ts';
import { type Damage, damaged, damageTo } from './damage.ts';
import { SEEDS } from './seeds.ts';
import { structuresOf } from './structures.ts';

/** One damaged image. All of it follows from the run's seed and the case's number. */
export interface Case {
  readonly number: number;
  /** Which of `SEEDS`. */
  readonly seed: string;
  /** Which of its files is damaged. */
  readonly file: string;
  readonly damage: Damage;
}

/** Makes the case of that number, the same each time, out of one of these seeds. */
export async function caseOf(runSeed: number, number: number, names = Object.keys(SEEDS)): Promise<Case> {
  const seeds = fc.constantFrom(...names);
  const [seed = ''] = fc.sample(seeds, { seed: runSeed * 1_000_003 + number, numRuns: 1 });
  const { files } = await seedFiles(seed);
  // What backs a version 1 image is probed by QEMU: damaged, it would be another format.
  const others = SEEDS[seed]?.format === 'qcow' ? [] : Object.keys(files);
  const tables = others.filter((name) => files[name]?.subarray(0, 3).toString('latin1') === 'QFI');
  const choice = fc.constantFrom('disk', ...tables).chain((file) => {
    return damageTo(files[file] as Buffer).map((damage) => ({ file, damage }));
  });
  const [chosen] = fc.sample(choice, { seed: runSeed * 1_000_033 + number, numRuns: 1 });
  const { file, damage } = chosen as { file: string; damage: Damage };
  return { number, seed, file, damage: bounded(files[file] as Buffer, damage) };
}

/** Writes the case's files to a new folder; what is not damaged is not copied. @returns the path of the image. */
export async function writeCase(folder: string, { seed, file, damage }: Case): Promise<string> {
  const { files, folder: made } = await seedFiles(seed);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, file), damaged(files[file] as Buffer, damage));
  const others = Object.keys(files).filter((name) => name !== file);
  await Promise.all(others.map((name) => symlink(join(made as string, name), join(folder, name))));
  return join(folder, 'disk');
}

const SLOW = 1_000_000;

/** Iterations that we allow, but that take longer than all the rest, become iterations that we do not. */
function bounded(image: Buffer, damage: Damage): Damage {
  const luks = structuresOf(image).find(({ name }) => name === 'LUKS header');
  if (!luks) return damage;
  const bytes = damaged(image, damage);
  const places = [164, ...Array.from({ length: 8 }, (_, slot) => 208 + slot * 48 + 4)].map((at) => luks.start + at);
  const slow = places.filter((at) => at + 4 <= bytes.length && bytes.readUInt32BE(at) > SLOW);
  const edits = slow.map((at) => ({ at, hex: 'ffffffff', what: 'as many iterations as there can be' }));
  return { ...damage, edits: [...damage.edits, ...edits] };
}

/**
 * The image without the damage that QEMU refuses and we do not, since it cannot change the disk's bytes: in refcounts, in the
 * lists of snapshots and bitmaps, in what belongs to no backing file, in key slots without a key.
 */
export function mended(image: Buffer, good: Buffer, keepSnapshots: boolean): Buffer {
  const bytes = Buffer.from(image);
  const version = bytes.readUInt32BE(4);
  if (version === 1 && bytes.readUInt32BE(16) === 0) bytes.fill(0, 8, 16); // where the name of no backing file lies
  if (version !== 2 && version !== 3) return bytes;
  good.copy(bytes, 48, 48, 60); // the refcount table
  if (!keepSnapshots) bytes.fill(0, 60, 72); // the snapshot table
  if (version === 3) good.copy(bytes, 96, 96, 100); // the refcounts' width
  const start = version === 3 ? bytes.readUInt32BE(100) : 72;
  for (let at = start; at + 8 <= bytes.length; ) {
    const type = bytes.readUInt32BE(at);
    const length = bytes.readUInt32BE(at + 4);
    if (type === 0 || at + 8 + length > bytes.length) break;
    if (type === EXT.bitmaps || (type === EXT.backingFormat && length > 15)) bytes.writeUInt32BE(EXT.unknown, at);
    at += 8 + Math.ceil(length / 8) * 8;
  }
  for (const slot of emptySlots(good)) if (!isActive(bytes, slot)) good.copy(bytes, slot, slot, slot + 48);
  return bytes;
}

/** Where LUKS key slots lie in which nobody has a key. */
function emptySlots(image: Buffer): number[] {
  const luks = structuresOf(image).find(({ name }) => name === 'LUKS header');
  const slots = luks ? Array.from({ length: 8 }, (_, slot) => luks.start + 208 + slot * 48) : [];
  return slots.filter((slot) => !isActive(image, slot));
}

const isActive = (image: Buffer, slot: number) => image.readUInt32BE(slot) === 0x00ac71f3;
