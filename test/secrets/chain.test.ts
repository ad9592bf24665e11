import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unqcow } from '../cli/run.ts';
import { persistently } from '../support/persistently.ts';

const run = promisify(execFile);
let folder: string;
const at = (name: string) => join(folder, name);

/** Each image's own passphrase, in a file of its name. */
const secretOf = (name: string) => ['--object', `secret,id=${name},file=${name}.txt`];
const openedBy = (name: string) => `encrypt.format=luks,encrypt.key-secret=${name}`;
/** What QEMU has to be told of the chain, as one image. */
const CHAIN =
  'driver=qcow2,encrypt.key-secret=top,file.filename=top.qcow2,backing.driver=qcow2,backing.encrypt.key-secret=base,backing.file.filename=base.qcow2';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-passphrases-'));
  const qemu = (program: string, ...args: string[]) => persistently(() => run(program, args, { cwd: folder }));
  for (const name of ['base', 'top']) await writeFile(at(`${name}.txt`), `the passphrase of ${name}`);
  const luks = (name: string) => ['-o', `${openedBy(name)},encrypt.iter-time=10`];
  const create = ['create', '-q', '-f', 'qcow2'];
  await qemu('qemu-img', ...create, ...secretOf('base'), ...luks('base'), 'base.qcow2', '4M');
  const backing = ['-b', 'base.qcow2', '-F', 'qcow2', '-u'];
  await qemu('qemu-img', ...create, ...secretOf('top'), ...luks('top'), ...backing, 'top.qcow2', '4M');
  const base = 'driver=qcow2,encrypt.key-secret=base,file.filename=base.qcow2';
  await qemu('qemu-io', ...secretOf('base'), '-c', 'write -P 1 0 1M', '--image-opts', base);
  const secrets = [...secretOf('base'), ...secretOf('top')];
  await qemu('qemu-io', ...secrets, '-c', 'write -P 2 512k 1M', '--image-opts', CHAIN);
  await qemu('qemu-img', 'convert', ...secrets, '-O', 'raw', '--image-opts', CHAIN, 'expected.raw');
});
afterAll(() => rm(folder, { recursive: true }));

const convert = (...passphrases: string[]) => {
  const flags = passphrases.flatMap((each) => ['--passphrase-file', each]);
  return unqcow(['convert', at('top.qcow2'), at('made.raw'), '--allow', folder, '--json', ...flags]);
};

describe('a chain whose images have passphrases of their own', () => {
  it.each([
    ['the first by none, the other by its name', () => [at('top.txt'), `base.qcow2=${at('base.txt')}`]],
    ['in either order', () => [`base.qcow2=${at('base.txt')}`, at('top.txt')]],
  ])('is read with each: %s', async (_, passphrases) => {
    const { code, stderr } = await convert(...passphrases());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect((await readFile(at('made.raw'))).equals(await readFile(at('expected.raw')))).toBe(true);
  });

  it.each([
    ['one for both', () => [at('top.txt')], 'WRONG_KEY'],
    ['those of each other', () => [at('base.txt'), `base.qcow2=${at('top.txt')}`], 'WRONG_KEY'],
    ['the other’s alone', () => [`base.qcow2=${at('base.txt')}`], 'KEY_REQUIRED'],
  ])('is not read with %s', async (_, passphrases, refusal) => {
    const { code, stderr } = await convert(...passphrases());
    expect({ code, refusal: JSON.parse(stderr).code }).toEqual({ code: 1, refusal });
  });
});
