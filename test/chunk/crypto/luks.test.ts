import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { decryptorOf } from '../../../lib/chunk/crypto/decrypt.ts';
import type { DiskKey } from '../../../lib/chunk/crypto/disk-key.ts';
import { aesKey, unlockLuks } from '../../../lib/chunk/crypto/unlock.ts';
import { inflateCluster } from '../../../lib/chunk/inflate.ts';
import { UnqcowError } from '../../../lib/errors.ts';
import { lastOf } from '../../../lib/format/extensions.ts';
import { extentBatches } from '../../../lib/format/extents.ts';
import { openImage } from '../../../lib/format/image.ts';
import { readL1 } from '../../../lib/format/l1.ts';
import { describeLuks, diskCipherOf, LUKS_HEADER_BYTES, parseLuks } from '../../../lib/format/luks.ts';
import { viewOf } from '../../../lib/format/struct.ts';
import { memorySource } from '../../../lib/source/memory.ts';
import { KiB, MiB, TiB } from '../../../lib/units.ts';
import { recorded } from '../../support/images.ts';
import { persistently } from '../../support/persistently.ts';
import { useQemu } from '../../support/use-qemu.ts';

const run = promisify(execFile);
const PASSPHRASE = 'correct horse\n';

const qemu = useQemu();

/** Calls a tool with secrets at hand, `s` being the image's. */
async function withSecrets(tool: string, args: readonly string[], secrets: Record<string, string>): Promise<string> {
  const [command = '', ...rest] = args;
  const objects = await Promise.all(
    Object.entries(secrets).map(async ([id, secret]) => {
      const file = join(qemu.folder, `secret-${randomUUID()}`);
      await writeFile(file, secret);
      return ['--object', `secret,id=${id},file=${file}`];
    }),
  );
  const all = tool === 'qemu-io' ? [...objects.flat(), ...args] : [command, ...objects.flat(), ...rest];
  const options = { cwd: qemu.folder, timeout: 180_000, maxBuffer: 16 * MiB };
  return (await persistently(() => run(tool, all, options))).stdout;
}

const WRITES = ['write -P 0x61 0 192k', 'write -P 0x62 1M 512', 'write -P 0x63 1664k 1k', 'write -P 0x64 3M 1M'];

/** An image with some patterns in it, written by QEMU. Its name has no folder. */
async function encryptedImage(
  options: readonly string[],
  { format = 'qcow2', size = '4M', writes = WRITES as readonly string[], secret = PASSPHRASE } = {},
): Promise<string> {
  const name = `${randomUUID()}.${format}`;
  const all = ['encrypt.key-secret=s', ...options].join(',');
  await withSecrets('qemu-img', ['create', '-f', format, '-o', all, name, size], { s: secret });
  if (writes.length > 0) await qemuIo(name, writes, secret);
  return name;
}
const luksImage = (options: readonly string[] = [], rest: Parameters<typeof encryptedImage>[1] = {}) =>
  encryptedImage(['encrypt.format=luks', 'encrypt.iter-time=10', ...options], rest);

const asImage = (name: string) => `driver=${name.split('.').at(-1)},file.filename=${name},encrypt.key-secret=s`;

async function qemuIo(name: string, commands: readonly string[], secret = PASSPHRASE): Promise<void> {
  const args = ['--image-opts', ...commands.flatMap((each) => ['-c', each]), asImage(name)];
  const said = await withSecrets('qemu-io', args, { s: secret });
  expect(said).not.toMatch(/failed|error/i);
}

async function theirs(name: string): Promise<Buffer> {
  await withSecrets('qemu-img', ['convert', '--image-opts', '-O', 'raw', asImage(name), `${name}.raw`], {
    s: PASSPHRASE,
  });
  return readFile(join(qemu.folder, `${name}.raw`));
}

const read = (name: string) => readFile(join(qemu.folder, name));

/** Where the LUKS header lies, and what the image has for it. */
async function luksPlace(bytes: Uint8Array) {
  const { extensions } = await openImage(memorySource(bytes));
  const view = viewOf(lastOf(extensions, 'encryption header')?.data ?? new Uint8Array(0));
  return { offset: Number(view.getBigUint64(0)), length: Number(view.getBigUint64(8)) };
}

async function headerOf(bytes: Uint8Array) {
  const { offset, length } = await luksPlace(bytes);
  return { offset, header: parseLuks(bytes.subarray(offset, offset + LUKS_HEADER_BYTES), length) };
}

async function unlocked(bytes: Uint8Array, passphrase = PASSPHRASE): Promise<DiskKey> {
  const { offset, header } = await headerOf(bytes);
  return unlockLuks(memorySource(bytes), header, offset, Buffer.from(passphrase));
}

/** The whole disk, as we read it. */
async function ours(bytes: Uint8Array, key: DiskKey): Promise<Buffer> {
  const image = await openImage(memorySource(bytes));
  const { geometry, source } = image;
  const map = { geometry, firstTable: 0, l2Offsets: await readL1(image) };
  const disk = Buffer.alloc(geometry.diskSize);
  const decrypt = decryptorOf(key);
  for await (const batch of extentBatches(source, map, { start: 0, end: disk.length })) {
    for (const extent of batch) {
      if (extent.kind === 'data') {
        const stored = disk.subarray(extent.start, extent.end);
        stored.set(bytes.subarray(extent.host, extent.host + stored.length));
        decrypt(stored, (key.numbering === 'host' ? extent.host : extent.start) / 512);
      }
      if (extent.kind !== 'compressed') continue;
      for (const [i, { host, length }] of extent.clusters.entries()) {
        const stream = bytes.subarray(host, host + length);
        disk.set(await inflateCluster(stream, 64 * KiB, 'disk'), extent.start + i * 64 * KiB);
      }
    }
  }
  return disk;
}

async function expectSameDisk(name: string): Promise<void> {
  const bytes = await read(name);
  expect((await ours(bytes, await unlocked(bytes))).equals(await theirs(name))).toBe(true);
}

const HASHES = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'ripemd160'];
/** Every combination that qemu-img writes. It fails an assertion with AES-192 in other modes than XTS. */
const SUITES = [
  ...(['aes-128', 'aes-256'] as const).flatMap((cipher) => ['xts', 'cbc', 'ecb', 'ctr'].map((mode) => [cipher, mode])),
  ['aes-192', 'xts'],
]
  .flatMap(([cipher, mode]) => ['plain', 'plain64', 'essiv:md5', 'essiv:sha256'].map((iv) => ({ cipher, mode, iv })))
  .map((suite, i) => ({ ...suite, hash: HASHES[i % HASHES.length] as string }))
  // QEMU takes two seconds an image. These have each mode, IV and hash among them; modes.test.ts has all of the rest.
  .filter((_, i) => i % 5 === 0);

describe('a LUKS image', () => {
  // At once: for each QEMU spends two seconds on measuring how fast it is.
  it.concurrent.each(SUITES)(
    'of $cipher-$mode-$iv with $hash is decrypted and described as by qemu-img',
    async (suite) => {
      const [ivgen, ivHash] = suite.iv.split(':');
      const name = await luksImage([
        `encrypt.cipher-alg=${suite.cipher}`,
        `encrypt.cipher-mode=${suite.mode}`,
        `encrypt.ivgen-alg=${ivgen}`,
        ...(ivHash ? [`encrypt.ivgen-hash-alg=${ivHash}`] : []),
        `encrypt.hash-alg=${suite.hash}`,
      ]);
      await expectSameDisk(name);
      await expectSameInfo(name);
    },
  );

  it('that has compressed clusters has them unencrypted', async () => {
    await expectSameDisk(await luksImage([], { writes: [...WRITES, 'write -c -P 0x65 2M 64k'] }));
  });

  it('of small clusters is numbered by sectors of the file', async () => {
    await expectSameDisk(await luksImage(['cluster_size=512']));
  });

  it.each(['plain', 'plain64'])('with its data beyond 2 TiB of a data file wraps its %s numbers or not', async (iv) => {
    const data = `${randomUUID()}.data`;
    const name = await luksImage([`data_file=${data}`, `encrypt.ivgen-alg=${iv}`], {
      size: '4T',
      writes: ['write -P 0x61 3T 64k'],
    });
    const bytes = Buffer.alloc(64 * KiB);
    await using file = await open(join(qemu.folder, data));
    await file.read(bytes, 0, bytes.length, 3 * TiB);
    decryptorOf(await unlocked(await read(name)))(bytes, (3 * TiB) / 512);
    expect(bytes.equals(Buffer.alloc(64 * KiB, 0x61))).toBe(true);
  });

  it.concurrent.each(['serpent-256', 'twofish-128', 'cast5-128'])(
    'of %s is described, and refused by name',
    async (cipher) => {
      const options = [`encrypt.cipher-alg=${cipher}`, 'encrypt.cipher-mode=cbc'];
      const name = await luksImage(options, { writes: [] });
      await expectSameInfo(name);
      const { header } = await headerOf(await read(name));
      const refusal = { code: 'UNSUPPORTED_ENCRYPTION', message: `the cipher "${cipher}"` };
      expect(() => diskCipherOf(header)).toThrow(expect.objectContaining(refusal));
      await expect(unlocked(await read(name))).rejects.toMatchObject(refusal);
    },
  );

  async function expectSameInfo(name: string): Promise<void> {
    const info = JSON.parse((await run('qemu-img', ['info', '--output=json', join(qemu.folder, name)])).stdout);
    const { header } = await headerOf(await read(name));
    expect(describeLuks(header)).toEqual(info['format-specific'].data.encrypt);
  }
});

describe('key slots', () => {
  /** Opens by two passphrases; the second one has the more iterations. */
  const twoSlots = async () => {
    const name = await luksImage();
    const options = ['encrypt.new-secret=n', 'encrypt.state=active', 'encrypt.iter-time=20'].join(',');
    const secrets = { s: PASSPHRASE, n: 'second' };
    await withSecrets('qemu-img', ['amend', '-o', options, '--image-opts', asImage(name)], secrets);
    return { name, bytes: await read(name) };
  };
  let made: Awaited<ReturnType<typeof twoSlots>>;
  beforeAll(async () => {
    made = await twoSlots();
  });

  it('are all tried', async () => {
    const first = await unlocked(made.bytes);
    expect(await unlocked(made.bytes, 'second')).toEqual(first);
    expect((await ours(made.bytes, first)).equals(await theirs(made.name))).toBe(true);
    const { header } = await headerOf(made.bytes);
    expect(header.slots.filter(({ active }) => active)).toHaveLength(2);
  });

  it('take the passphrase by its exact bytes', async () => {
    for (const wrong of ['correct horse', 'correct horse\n\n', 'Correct horse\n', '']) {
      await expect(unlocked(made.bytes, wrong)).rejects.toMatchObject({ code: 'WRONG_KEY' });
    }
  });

  it('cost one read each until one opens', async () => {
    const { offset, header } = await headerOf(made.bytes);
    const [first, second] = header.slots.map((slot) => offset + slot.offset) as [number, number];
    const ranges = [first, second].map((start) => ({ start, end: start + 256_000 }));
    const source = recorded(memorySource(made.bytes));
    await unlockLuks(source, header, offset, Buffer.from(PASSPHRASE));
    expect(source.requests).toEqual(ranges.slice(0, 1));
    await unlockLuks(source, header, offset, Buffer.from('second'));
    expect(source.requests.slice(1)).toEqual(ranges);
  });

  it('leave the passphrase as it was', async () => {
    const { offset, header } = await headerOf(made.bytes);
    const passphrase = Buffer.from('second');
    await unlockLuks(memorySource(made.bytes), header, offset, passphrase);
    expect(passphrase.toString()).toBe('second');
  });

  it('of 7.8 million iterations are tried', async () => {
    const { offset, header } = await headerOf(made.bytes);
    const slots = header.slots.map((slot, i) => ({ ...slot, active: i === 0, iterations: 7_800_000 }));
    const small = { ...header, keyBytes: 32, mode: 'cbc', digestIterations: 1, slots };
    const wrong = unlockLuks(memorySource(made.bytes), small, offset, Buffer.from('wrong'));
    await expect(wrong).rejects.toMatchObject({ code: 'WRONG_KEY' });
  });

  it('of more than 100 million iterations are refused before anything is read, but only if no other opens', async () => {
    const { offset, header } = await headerOf(made.bytes);
    const costly = (iterations: number, at: number) => ({
      ...header,
      slots: header.slots.map((slot, i) => (i === at ? { ...slot, iterations } : slot)),
    });
    const source = recorded(memorySource(made.bytes));
    const first = unlockLuks(source, costly(100_000_000, 0), offset, Buffer.from(PASSPHRASE));
    await expect(first).rejects.toMatchObject({ code: 'KEY_TOO_COSTLY', at: 'luks.slots[0].iterations' });
    expect(source.requests).toHaveLength(1);
    const second = unlockLuks(source, costly(2 ** 32 - 1, 0), offset, Buffer.from('second'));
    await expect(second).resolves.toMatchObject({ cipher: 'aes-256' });
    const digest = unlockLuks(source, { ...header, digestIterations: 2 ** 32 - 1 }, offset, Buffer.from('second'));
    await expect(digest).rejects.toMatchObject({ code: 'KEY_TOO_COSTLY' });
    expect(source.requests).toHaveLength(2);
  });

  it('whose material lies past the end of the file are refused, but only if no other opens', async () => {
    const { offset, header } = await headerOf(made.bytes);
    const [, second] = header.slots;
    const source = memorySource(made.bytes.subarray(0, offset + (second?.offset ?? 0) + 255_999));
    await expect(unlockLuks(source, header, offset, Buffer.from(PASSPHRASE))).resolves.toBeDefined();
    const refusal = { code: 'BAD_LUKS_HEADER', at: 'luks.slots[1].key_material_offset' };
    await expect(unlockLuks(source, header, offset, Buffer.from('second'))).rejects.toMatchObject(refusal);
  });

  it('are no longer tried once the signal says so', async () => {
    const { offset, header } = await headerOf(made.bytes);
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    const stopped = unlockLuks(memorySource(made.bytes), header, offset, Buffer.from('second'), { signal });
    await expect(stopped).rejects.toBe(reason);
  });

  it('none of which is active open by nothing', async () => {
    const { offset, header } = await headerOf(made.bytes);
    const slots = header.slots.map((slot) => ({ ...slot, active: false }));
    const none = unlockLuks(memorySource(made.bytes), { ...header, slots }, offset, Buffer.from(PASSPHRASE));
    await expect(none).rejects.toMatchObject({ code: 'WRONG_KEY' });
  });
});

describe('a LUKS header', () => {
  const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer).reverse();
  const name = (text: string) => Buffer.from(text.padEnd(32, '\0'));
  const slot = (index: number, field: number) => 208 + index * 48 + field;
  let good: Buffer;
  let place: Awaited<ReturnType<typeof luksPlace>>;
  beforeAll(async () => {
    const bytes = await read(await luksImage([], { writes: [] }));
    place = await luksPlace(bytes);
    good = bytes.subarray(place.offset, place.offset + LUKS_HEADER_BYTES);
  });
  const damaged = (at: number, bytes: Uint8Array) => {
    const header = Buffer.from(good);
    header.set(bytes, at);
    return header;
  };

  it.each([
    ['magic', 0, Buffer.from('LUKX'), 'magic'],
    ['version 0', 6, Buffer.from([0, 0]), 'version'],
    ['no cipher', 8, name(''), 'cipher_name'],
    ['a cipher without an end', 8, name('a'.repeat(32)), 'cipher_name'],
    ['a mode without IVs', 40, name('xts'), 'cipher_mode'],
    ['a mode with empty IVs', 40, name('xts-'), 'cipher_mode'],
    ['ESSIV without a hash', 40, name('cbc-essiv'), 'cipher_mode'],
    ['ESSIV with an empty hash', 40, name('cbc-essiv:'), 'cipher_mode'],
    ['a mode without an end', 40, name('m'.repeat(32)), 'cipher_mode'],
    ['no hash', 72, name(''), 'hash_spec'],
    ['a payload on the key material', 104, u32(8), 'slots[0].key_material_offset'],
    ['no key', 108, u32(0), 'key_bytes'],
    ['a key that AES lacks', 108, u32(40), 'key_bytes'],
    ['half a key for XTS', 108, u32(16), 'key_bytes'],
    ['a digest without iterations', 164, u32(0), 'mk_digest_iterations'],
    ['a slot in no state', slot(7, 0), u32(5), 'slots[7].active'],
    ['a slot without iterations', slot(0, 4), u32(0), 'slots[0].iterations'],
    ['a slot on the header', slot(0, 40), u32(1), 'slots[0].key_material_offset'],
    ['a slot on the payload', slot(0, 40), u32(4000), 'slots[0].key_material_offset'],
    ['a slot at the end of the world', slot(0, 40), u32(2 ** 32 - 1), 'slots[0].key_material_offset'],
    ['other stripes', slot(0, 44), u32(2 ** 32 - 1), 'slots[0].stripes'],
  ])('with %s is refused', (_, at, bytes, field) => {
    const refusal = { code: 'BAD_LUKS_HEADER', at: `luks.${field}` };
    expect(() => parseLuks(damaged(at, bytes))).toThrow(expect.objectContaining(refusal));
  });

  it('with a key that no cipher has is refused, whatever the cipher', () => {
    const header = damaged(8, name('threefish'));
    header.set(u32(513), 108);
    expect(() => parseLuks(header)).toThrow(expect.objectContaining({ code: 'BAD_LUKS_HEADER' }));
  });

  it('that is cut off is refused', () => {
    expect(() => parseLuks(good.subarray(0, -1))).toThrow(expect.objectContaining({ code: 'BAD_LUKS_HEADER' }));
  });

  it('must have its key material in what the image has for it', () => {
    const header = damaged(104, u32(2 ** 32 - 1));
    header.set(u32(2 ** 20), slot(0, 40));
    expect(parseLuks(header).slots[0]?.offset).toBe(512 * MiB);
    const refusal = { code: 'BAD_LUKS_HEADER', at: 'luks.slots[0].key_material_offset' };
    expect(() => parseLuks(header, place.length)).toThrow(expect.objectContaining(refusal));
    expect(parseLuks(good, place.length)).toEqual(parseLuks(good));
  });

  it('may have anything in slots that are not active', () => {
    const header = damaged(slot(5, 4), Buffer.alloc(44, 0xff));
    expect(parseLuks(header, place.length).slots[0]).toEqual(parseLuks(good).slots[0]);
  });

  it('of version 2 is refused by name', () => {
    const refusal = { code: 'UNSUPPORTED_ENCRYPTION', message: 'LUKS version 2 is not read' };
    expect(() => parseLuks(damaged(6, Buffer.from([0, 2])))).toThrow(expect.objectContaining(refusal));
  });

  it.each([
    ['the cipher "camellia-256"', 8, name('camellia')],
    ['the mode "lrw"', 40, name('lrw-plain64')],
    ['the IV generator "benbi"', 40, name('cbc-benbi')],
    ['the IV generator "essiv:sha1"', 40, name('cbc-essiv:sha1')],
    ['the hash "whirlpool"', 72, name('whirlpool')],
    ['the hash "\\u001b[31m"', 72, name('\u001b[31m')],
  ])('that names what we lack is described, and refused: %s', (message, at, bytes) => {
    const header = damaged(at, bytes);
    header.set(u32(32), 108);
    const parsed = parseLuks(at === 8 ? damaged(at, bytes) : header);
    expect(describeLuks(parsed).format).toBe('luks');
    const refusal = { code: 'UNSUPPORTED_ENCRYPTION', message };
    expect(() => diskCipherOf(parsed)).toThrow(expect.objectContaining(refusal));
  });

  it('may have a hash for IVs that need none, which is ignored', () => {
    const parsed = parseLuks(damaged(40, name('xts-plain64:sha256')));
    expect(diskCipherOf(parsed).iv).toBe('plain64');
    expect(describeLuks(parsed)).toEqual(describeLuks(parseLuks(good)));
  });

  it('never throws anything but our own errors, whatever the bytes', () => {
    const patch = fc.record({
      at: fc.nat(LUKS_HEADER_BYTES - 4),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(patch, { maxLength: 6 }), (patches) => {
        const header = Buffer.from(good);
        for (const { at, bytes } of patches) header.set(bytes, at);
        try {
          const parsed = parseLuks(header, place.length);
          JSON.stringify(describeLuks(parsed));
          diskCipherOf(parsed);
        } catch (error) {
          expect(error).toBeInstanceOf(UnqcowError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('an image of encryption method 1', () => {
  it.each(['1.1', '0.10'])('in compat %s is decrypted as by qemu-img', async (compat) => {
    const name = await encryptedImage(['encrypt.format=aes', `compat=${compat}`]);
    expect((await ours(await read(name), aesKey(Buffer.from(PASSPHRASE)))).equals(await theirs(name))).toBe(true);
  });

  it.each(['short', 'exactly 16 bytes', 'more than sixteen bytes', 'ümlaute zählen doppelt'])(
    'takes the passphrase %j, cut or filled to 16 bytes',
    async (secret) => {
      const name = await encryptedImage(['encrypt.format=aes'], { secret, writes: ['write -P 0x61 3M 1M'] });
      const disk = await ours(await read(name), aesKey(Buffer.from(secret)));
      expect(disk.subarray(3 * MiB).equals(Buffer.alloc(MiB, 0x61))).toBe(true);
    },
  );

  it('in version 1 is numbered by sectors of the disk', async () => {
    const name = await encryptedImage(['encrypt.format=aes'], { format: 'qcow', writes: ['write -P 0x61 3M 4k'] });
    // The last cluster of the file is the one that was written.
    const cluster = Buffer.from((await read(name)).subarray(-4 * KiB));
    decryptorOf(aesKey(Buffer.from(PASSPHRASE)))(cluster, (3 * MiB) / 512);
    expect(cluster.equals(Buffer.alloc(4 * KiB, 0x61))).toBe(true);
  });
});
