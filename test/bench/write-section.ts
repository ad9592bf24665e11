import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { GiB } from '../../lib/units.ts';

const PAGE = new URL('../../docs/performance.md', import.meta.url);

/** Puts a table between its two marks in docs/performance.md, and prints it. */
export async function writeSection(name: string, table: string): Promise<void> {
  const page = await readFile(PAGE, 'utf8');
  const [begin, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no section ${name}`);
  await writeFile(PAGE, `${page.slice(0, from + begin.length)}\n${table}\n\n${machine()}\n${page.slice(to)}`);
  process.stdout.write(`\n${table}\n`);
}

function machine(): string {
  const [cpu] = cpus();
  const version = (program: string, ...args: string[]) =>
    execFileSync(program, args, { encoding: 'utf8' }).match(/\d+\.\d+(\.\d+)?/)?.[0];
  const memory = Math.round(totalmem() / GiB);
  return `Measured on ${cpus().length} cores of ${cpu?.model}, ${memory} GiB, with Node ${process.versions.node}, qemu-img ${version('qemu-img', '--version')}, aws ${version('/usr/bin/aws', '--version')}, rclone ${version('rclone', 'version')}.`;
}
