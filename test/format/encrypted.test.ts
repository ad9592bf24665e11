import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectAny } from '../../lib/format/inspect.ts';
import { toJson } from '../../lib/format/json.ts';
import { openAny } from '../../lib/format/open-any.ts';
import { openFile } from '../../lib/source/file.ts';
import { convertTo, mapOf } from '../support/images.ts';

const run = promisify(execFile);
const PASSPHRASE = 'open sesame\n'; // the newline counts

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-encrypted-'));
  await writeFile(join(folder, 'pw'), PASSPHRASE);
});
afterAll(() => rm(folder, { recursive: true }));

const SECRET = ['--object', 'secret,id=s,file=pw'];
const qemu = (command: string, args: readonly string[]) => run(command, args, { cwd: folder });

/** Makes an encrypted image, writes to it, and has `qemu-img` decrypt it. LUKS fails at random there, to be tried again. */
async function encrypted(name: string, format: 'qcow' | 'qcow2', options: string, writes: readonly string[]) {
  const create = ['create', '-q', ...SECRET, '-f', format, '-o', `${options},encrypt.key-secret=s`, name, '8M'];
  for (let attempt = 1; ; attempt += 1) {
    const failed = await qemu('qemu-img', create).then(
      () => undefined,
      (error: Error) => error,
    );
    if (!failed) break;
    if (attempt === 20) throw failed;
  }
  const image = `driver=${format},file.filename=${name},encrypt.key-secret=s`;
  await qemu('qemu-io', [...SECRET, '--image-opts', ...writes.flatMap((write) => ['-c', write]), image]);
  await qemu('qemu-img', ['convert', ...SECRET, '--image-opts', '-O', 'raw', image, `${name}.raw`]);
  return { path: join(folder, name), raw: join(folder, `${name}.raw`) };
}

const WRITES = ['write -P 1 0 100k', 'write -P 2 1M 1M', 'write -P 3 5000k 3000', 'write -P 4 7M 512'];
const LUKS = 'encrypt.format=luks,encrypt.iter-time=10';

const IMAGES = {
  'aes, version 1': ['qcow', 'encrypt.format=aes', WRITES],
  'aes, version 2': ['qcow2', 'compat=0.10,encrypt.format=aes', WRITES],
  'aes, version 3': ['qcow2', 'encrypt.format=aes,cluster_size=4k', WRITES],
  luks: ['qcow2', LUKS, WRITES],
  'luks with zero clusters': ['qcow2', LUKS, [...WRITES, 'write -z 1M 64k']],
  'luks with small clusters': ['qcow2', `${LUKS},cluster_size=512`, WRITES],
  'luks, cbc and essiv': [
    'qcow2',
    `${LUKS},encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256`,
    WRITES,
  ],
  'luks with extended L2': ['qcow2', `${LUKS},extended_l2=on`, WRITES],
} as const;

describe('an encrypted image', () => {
  it.each(Object.entries(IMAGES))('(%s) is decrypted as qemu-img does', async (name, [format, options, writes]) => {
    const file = name.replaceAll(/[, ]+/g, '-');
    const { path, raw } = await encrypted(file, format, options, writes);
    const passphrases = { '': new TextEncoder().encode(PASSPHRASE) };

    const converted = await convertTo(folder, await openFile(path), undefined, { passphrases });
    expect(Buffer.compare(await readFile(converted.path), await readFile(raw))).toBe(0);

    await expect(convertTo(folder, await openFile(path))).rejects.toMatchObject({ code: 'KEY_REQUIRED' });
    const {
      filename: _,
      'actual-size': __,
      ...theirs
    } = JSON.parse((await qemu('qemu-img', ['info', '--output=json', '-f', format, file])).stdout);
    const ours = JSON.parse(toJson(await inspectAny(await openAny(await openFile(path)), file)));
    expect(ours).toMatchObject(theirs);
    expect((await mapOf(await openFile(path))).some(({ offset, data }) => data && offset !== undefined)).toBe(false);
  });

  it('with LUKS refuses another passphrase: WRONG_KEY', async () => {
    const { path } = await encrypted('luks-wrong', 'qcow2', LUKS, WRITES);
    const passphrases = { '': new TextEncoder().encode(PASSPHRASE.trim()) };
    const refused = convertTo(folder, await openFile(path), undefined, { passphrases });
    await expect(refused).rejects.toMatchObject({ code: 'WRONG_KEY' });
  });

  it('that lacks its last bytes is refused, where a plain one would end in zeros: CLUSTER_BEYOND_EOF', async () => {
    const { path } = await encrypted('luks-cut', 'qcow2', LUKS, ['write -P 1 0 64k']);
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, bytes.length - 1024));
    const passphrases = { '': new TextEncoder().encode(PASSPHRASE) };
    const refused = convertTo(folder, await openFile(path), undefined, { passphrases });
    await expect(refused).rejects.toMatchObject({ code: 'CLUSTER_BEYOND_EOF' });
  });
});
