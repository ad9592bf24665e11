import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectAny } from '../../lib/format/inspect.ts';
import { toJson } from '../../lib/format/json.ts';
import { openAny } from '../../lib/format/open-any.ts';
import type { OpenSource } from '../../lib/source/byte-source.ts';
import { openFile } from '../../lib/source/file.ts';
import { asQemu72, besides, convertTo, mapOf } from '../support/images.ts';
import { persistently } from '../support/persistently.ts';
import { noise } from '../support/qemu.ts';

const run = promisify(execFile);
const PASSPHRASE = 'open sesame\n'; // the newline counts

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-encrypted-'));
  await writeFile(join(folder, 'pw'), PASSPHRASE);
  await writeFile(join(folder, 'base.raw'), noise(3_000_000));
});
afterAll(async () => {
  await Promise.all(sources.map((each) => each.close()));
  await rm(folder, { recursive: true });
});

const sources: OpenSource[] = [];
/** The file as a source, which is closed in the end. */
async function opened(path: string): Promise<OpenSource> {
  const source = await openFile(path);
  sources.push(source);
  return source;
}

const SECRET = ['--object', 'secret,id=s,file=pw'];
const imageOf = (format: string, name: string) => `driver=${format},file.filename=${name},encrypt.key-secret=s`;
const qemu = (command: string, args: readonly string[]) => run(command, args, { cwd: folder });

/** Makes an encrypted image, writes to it, and has `qemu-img` decrypt it. */
async function encrypted(name: string, format: 'qcow' | 'qcow2', options: string, writes: readonly string[]) {
  const create = ['create', '-q', ...SECRET, '-f', format, '-o', `${options},encrypt.key-secret=s`, name, '8M'];
  await persistently(() => qemu('qemu-img', create));
  const image = imageOf(format, name);
  await qemu('qemu-io', [...SECRET, '--image-opts', ...writes.flatMap((write) => ['-c', write]), image]);
  await qemu('qemu-img', ['convert', ...SECRET, '--image-opts', '-O', 'raw', image, `${name}.raw`]);
  return { path: join(folder, name), raw: join(folder, `${name}.raw`) };
}

const WRITES = ['write -P 1 0 100k', 'write -P 2 1M 1M', 'write -P 3 5000k 3000', 'write -P 4 7M 512'];
const LUKS = 'encrypt.format=luks,encrypt.iter-time=10';

const IMAGES = {
  'aes, version 1': ['qcow', 'encrypt.format=aes', WRITES],
  'aes, version 1, with compressed clusters': [
    'qcow',
    'encrypt.format=aes',
    [...WRITES, 'write -c -P 5 3M 4k', 'write -c -P 6 4M 4k'],
  ],
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
  'luks with compressed clusters': ['qcow2', LUKS, [...WRITES, 'write -c -P 5 3M 64k', 'write -c -P 6 4M 192k']],
  'luks over a backing file': [
    'qcow2',
    `${LUKS},backing_file=base.raw,backing_fmt=raw`,
    [...WRITES, 'write -z 64k 64k'],
  ],
  'aes over a backing file': ['qcow2', 'encrypt.format=aes,backing_file=base.raw,backing_fmt=raw', WRITES],
  'aes with compressed clusters': ['qcow2', 'encrypt.format=aes', [...WRITES, 'write -c -P 5 3M 64k']],
  'luks with extended L2': ['qcow2', `${LUKS},extended_l2=on`, [...WRITES, 'write -z 5001k 2k', 'write -z 1M 128k']],
} as const;

describe('an encrypted image', () => {
  it.each(Object.entries(IMAGES))('(%s) is decrypted as qemu-img does', async (name, [format, options, writes]) => {
    const file = name.replaceAll(/[, ]+/g, '-');
    const { path, raw } = await encrypted(file, format, options, writes);
    const passphrases = { '': new TextEncoder().encode(PASSPHRASE) };

    const converted = await convertTo(folder, await opened(path), undefined, { ...besides(path), passphrases });
    expect(Buffer.compare(await readFile(converted.path), await readFile(raw))).toBe(0);

    await expect(convertTo(folder, await opened(path))).rejects.toMatchObject({ code: 'KEY_REQUIRED' });
    const {
      filename: _,
      'actual-size': __,
      ...theirs
    } = JSON.parse((await qemu('qemu-img', ['info', '--output=json', '-f', format, file])).stdout);
    const ours = JSON.parse(toJson(await inspectAny(await openAny(await opened(path)), file)));
    expect(ours).toMatchObject(theirs);
    const image = imageOf(format, file);
    const { stdout: map } = await qemu('qemu-img', ['map', ...SECRET, '--output=json', '--image-opts', image]);
    expect(asQemu72(await mapOf(await opened(path), besides(path)))).toEqual(JSON.parse(map));
  });

  it('with a snapshot is decrypted as it was then', async () => {
    const { path } = await encrypted('luks-snapshot', 'qcow2', LUKS, ['write -P 1 0 1M', 'write -c -P 2 2M 64k']);
    const image = imageOf('qcow2', 'luks-snapshot');
    await qemu('qemu-img', ['snapshot', ...SECRET, '--image-opts', '-c', 'first', image]);
    await qemu('qemu-io', [...SECRET, '--image-opts', '-c', 'write -P 3 512k 1M', image]);
    const from = ['-l', 'snapshot.name=first', '-O', 'raw', image, 'then.raw'];
    await qemu('qemu-img', ['convert', ...SECRET, '--image-opts', ...from]);
    const passphrases = { '': new TextEncoder().encode(PASSPHRASE) };
    const source = await opened(path);
    const converted = await convertTo(folder, source, undefined, { passphrases, snapshot: 'first' });
    const then = await readFile(join(folder, 'then.raw'));
    expect(then[512 * 1024]).toBe(1);
    expect(Buffer.compare(await readFile(converted.path), then)).toBe(0);
  });

  it('that was grown after a snapshot is decrypted in either size', async () => {
    const { path } = await encrypted('luks-grown', 'qcow2', `${LUKS},cluster_size=4k`, ['write -P 1 7M 1M']);
    const image = (name: string) => imageOf('qcow2', name);
    const img = (command: string, ...args: string[]) => qemu('qemu-img', [command, ...SECRET, '--image-opts', ...args]);
    await img('snapshot', '-c', 'first', image('luks-grown'));
    await img('resize', image('luks-grown'), '12M');
    await qemu('qemu-io', [...SECRET, '--image-opts', '-c', 'write -P 2 7M 3M', image('luks-grown')]);
    await qemu('cp', ['luks-grown', 'luks-back']);
    await img('snapshot', '-a', 'first', image('luks-back'));
    const passphrases = { '': new TextEncoder().encode(PASSPHRASE) };
    const sizes: number[] = [];
    for (const [name, snapshot] of [
      ['luks-grown', undefined],
      ['luks-back', 'first'],
    ] as const) {
      await img('convert', '-O', 'raw', image(name), `${name}.raw`);
      const source = await opened(path);
      const converted = await convertTo(folder, source, undefined, { passphrases, snapshot });
      sizes.push(converted.size);
      expect(Buffer.compare(await readFile(converted.path), await readFile(join(folder, `${name}.raw`)))).toBe(0);
    }
    expect(sizes).toEqual([12 << 20, 8 << 20]);
  });

  it('with LUKS refuses another passphrase: WRONG_KEY', async () => {
    const { path } = await encrypted('luks-wrong', 'qcow2', LUKS, WRITES);
    const passphrases = { '': new TextEncoder().encode(PASSPHRASE.trim()) };
    const refused = convertTo(folder, await opened(path), undefined, { passphrases });
    await expect(refused).rejects.toMatchObject({ code: 'WRONG_KEY' });
  });

  it('that lacks its last bytes is refused, where a plain one would end in zeros: CLUSTER_BEYOND_EOF', async () => {
    const { path } = await encrypted('luks-cut', 'qcow2', LUKS, ['write -P 1 0 64k']);
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, bytes.length - 1024));
    const passphrases = { '': new TextEncoder().encode(PASSPHRASE) };
    const refused = convertTo(folder, await opened(path), undefined, { passphrases });
    await expect(refused).rejects.toMatchObject({ code: 'CLUSTER_BEYOND_EOF' });
  });
});
