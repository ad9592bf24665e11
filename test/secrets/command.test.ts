import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unqcow } from '../cli/run.ts';
import { persistently } from '../support/persistently.ts';
import { isInMemory } from './memory.ts';

const run = promisify(execFile);
let folder: string;
let image: string;
/** Found nowhere by chance. */
const passphrase = `open-${randomBytes(12).toString('hex')}`;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-passphrase-'));
  image = join(folder, 'disk.qcow2');
  await writeFile(join(folder, 'passphrase'), passphrase);
  await writeFile(join(folder, 'wrong'), `${passphrase}?`);
  const secret = ['--object', 'secret,id=s,file=passphrase'];
  const luks = 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10';
  const create = ['create', '-q', '-f', 'qcow2', ...secret, '-o', luks, image, '8M'];
  await persistently(() => run('qemu-img', create, { cwd: folder }));
});
afterAll(() => rm(folder, { recursive: true }));

/** A process that has converted and holds still. */
async function held(): Promise<ChildProcess & { readonly pid: number }> {
  const hold = join(import.meta.dirname, 'hold.ts');
  const args = ['--expose-gc', hold, image, join(folder, 'disk.raw'), join(folder, 'passphrase')];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of child.stdout) if (String(line).includes('held\n')) break;
  return child as ChildProcess & { readonly pid: number };
}

describe('a passphrase', () => {
  it('is in no memory of the process once it was used, nor in its arguments and environment', async () => {
    const child = await held();
    expect(await isInMemory(child.pid, Buffer.from(passphrase))).toBe(false);
    for (const file of ['cmdline', 'environ']) {
      expect(await readFile(`/proc/${child.pid}/${file}`, 'latin1')).not.toContain(passphrase);
    }
    child.kill();
    await once(child, 'exit');
  });

  it('would be found there by such a search', async () => {
    const hold =
      "const kept = require('node:fs').readFileSync(process.argv[1]); console.log('held'); setInterval(() => kept, 1e6)";
    const child = spawn(process.execPath, ['-e', hold, join(folder, 'passphrase')]);
    await once(child.stdout, 'data');
    expect(await isInMemory(child.pid as number, Buffer.from(passphrase))).toBe(true);
    child.kill();
    await once(child, 'exit');
  });

  it.each([['passphrase'], ['wrong']])('is told by no output, whether it opens the image or not: %s', async (file) => {
    const flag = ['--passphrase-file', join(folder, file)];
    for (const command of [
      ['info', image, '--probe'],
      ['convert', image, join(folder, 'out.raw')],
    ]) {
      for (const json of [[], ['--json']]) {
        const { stdout, stderr } = await unqcow([...command, ...flag, ...json]);
        expect(`${stdout}${stderr}`).not.toBe('');
        expect(`${stdout}${stderr}`).not.toContain(passphrase);
      }
    }
  });
});
