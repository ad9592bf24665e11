import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MiB } from '../../lib/units.ts';
import { SMALL_PARTS } from '../pipeline/small-world.ts';

/** As in `small-world.ts`, but that one function makes 20 MiB: the upload of a disk that is made whole then has two parts. */
export const LIMITS = { ...SMALL_PARTS, wholeDisk: 20 * MiB };

/** An image, and what `qemu-img` makes of it. */
export interface TestDisk {
  readonly path: string;
  readonly raw: string;
}

/** The images that are there from the beginning, and `base`, which `overlay` lies on. */
export type DiskName = 'parts' | 'whole' | 'overlay';

/** A disk that one function makes, in an upload of two parts. */
export function small(folder: string): TestDisk {
  const path = join(folder, 'whole');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(LIMITS.wholeDisk)]);
  execFileSync('qemu-io', ['-c', 'write -P 7 0 192k', '-c', 'write -c -P 8 3M 64k', '-c', 'write -P 9 17M 64k', path]);
  execFileSync('qemu-img', ['convert', '-O', 'raw', path, `${path}.raw`]);
  return { path, raw: `${path}.raw` };
}

/** Secrets that the encrypted files open with, by the files' names. */
export const SECRETS = { overlay: 'disks/overlay', base: 'disks/base' } as const;

/**
 * A disk in parts whose overlay and backing file are encrypted with AES, each with a passphrase of its own. Deriving an AES
 * key costs nothing, unlike one of LUKS.
 *
 * @param secrets The folder that gets the passphrases.
 */
export function encryptedOverlay(
  folder: string,
  secrets: string,
): { readonly base: string; readonly overlay: TestDisk } {
  const secret = (name: keyof typeof SECRETS) => {
    const file = join(secrets, SECRETS[name]);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `secret of ${name}`);
    return ['--object', `secret,id=${name},file=${file}`];
  };
  const objects = [...secret('overlay'), ...secret('base')];
  const tool = (command: string, ...args: string[]) => execFileSync(command, args, { cwd: folder, stdio: 'pipe' });
  const create = (name: keyof typeof SECRETS, ...more: string[]) => {
    const options = `encrypt.format=aes,encrypt.key-secret=${name}`;
    tool('qemu-img', 'create', '-q', ...objects, '-f', 'qcow2', '-o', options, ...more, name, '21M');
  };
  const node = (name: keyof typeof SECRETS, backing?: object) => ({
    driver: 'qcow2',
    file: { driver: 'file', filename: join(folder, name) },
    'encrypt.key-secret': name,
    ...(backing ? { backing } : {}),
  });
  const write = (what: object, ...writes: string[]) =>
    tool('qemu-io', ...objects, ...writes.flatMap((each) => ['-c', each]), `json:${JSON.stringify(what)}`);
  create('base');
  write(node('base'), 'write -P 1 0 192k', 'write -P 2 6M 64k');
  create('overlay', '-u', '-b', 'base', '-F', 'qcow2');
  const disk = node('overlay', node('base'));
  write(disk, 'write -P 3 64k 64k', 'write -P 4 11M 64k');
  tool('qemu-img', 'convert', ...objects, '-O', 'raw', `json:${JSON.stringify(disk)}`, 'overlay.raw');
  return { base: join(folder, 'base'), overlay: { path: join(folder, 'overlay'), raw: join(folder, 'overlay.raw') } };
}
