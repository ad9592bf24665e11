import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { READ_MEMORY } from '../../lib/chunk/assemble.ts';
import { formatBytes, MiB } from '../../lib/units.ts';

/** A program, its arguments, and what it finds in its environment besides ours. */
export interface Command {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What processes took. Memory in bytes; times in seconds. */
export interface Taken {
  readonly wall: number;
  /** User and system together. */
  readonly cpu: number;
  /** The largest that any of them was. */
  readonly memory: number;
}

/**
 * Runs commands one after the other, each a fresh process, and tells what GNU time says that they took together.
 *
 * @throws Error with the last of its output if one of them fails.
 */
export async function measured(commands: readonly Command[]): Promise<Taken> {
  const dir = await mkdtemp(join(tmpdir(), 'unqcow-time-'));
  try {
    let taken: Taken = { wall: 0, cpu: 0, memory: 0 };
    for (const command of commands) taken = together(taken, await one(command, join(dir, 'time')));
    return taken;
  } finally {
    await rm(dir, { recursive: true });
  }
}

function together(a: Taken, b: Taken): Taken {
  return { wall: a.wall + b.wall, cpu: a.cpu + b.cpu, memory: Math.max(a.memory, b.memory) };
}

async function one({ argv, env }: Command, report: string): Promise<Taken> {
  const child = spawn('/usr/bin/time', ['-q', '-o', report, '-f', '%e %U %S %M', ...argv], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const hear = (chunk: Buffer) => {
    said = (said + chunk).slice(-2_000);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${argv.join(' ')}: exit code ${code}\n${said}`);
  const [wall = 0, user = 0, system = 0, kilobytes = 0] = (await readFile(report, 'utf8'))
    .trim()
    .split(' ')
    .map(Number);
  return { wall, cpu: user + system, memory: kilobytes * 1024 };
}

/**
 * What a conversion may hold at its peak, in bytes: four parts in the making, the reads that are not yet where they belong,
 * and Node with its threads and the SDK.
 *
 * @param part Bytes of a part.
 */
export function ceiling(part: number): number {
  return 4 * part + READ_MEMORY + 256 * MiB;
}

/** @throws Error if a conversion took more memory than it may. */
export function assertWithinCeiling(what: string, { memory }: Taken, most: number): void {
  if (memory <= most) return;
  throw new Error(`${what}: ${formatBytes(memory)} at the peak, and ${formatBytes(most)} are the ceiling`);
}

/** The middle one; of an even number the mean of the middle two. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = low] = sorted.slice(Math.ceil(middle) - 1, Math.floor(middle) + 1);
  return (low + high) / 2;
}
