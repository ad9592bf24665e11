import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { MiB } from '../../lib/units.ts';

/** Parts of 5 MiB, the least that S3 takes: a conversion in parts is then a matter of a fraction of a second. */
export const SMALL_PARTS = {
  wholeDisk: 4 * MiB,
  dataPart: 5 * MiB,
  maxCopyPart: 5 * MiB,
  shortestRun: 5 * MiB,
} as const;

/**
 * A disk of six such parts, of all kinds: three of data, the last one short; two of zeros with data between; one that is
 * copied. Made in a folder by `qemu-img`, along with what it makes of it.
 */
export function sixParts(folder: string, name: string, pattern = 1): { readonly path: string; readonly raw: string } {
  const path = join(folder, name);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(26 * MiB)]);
  const writes = [`write -P ${pattern} 0 192k`, `write -P 2 10M 5M`, `write -c -P 3 16M 64k`, `write -P 4 17M 64k`];
  execFileSync('qemu-io', [...[...writes, 'write -P 5 25M 512k'].flatMap((write) => ['-c', write]), path]);
  execFileSync('qemu-img', ['convert', '-O', 'raw', path, `${path}.raw`]);
  return { path, raw: `${path}.raw` };
}
