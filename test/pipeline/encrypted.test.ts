import { createHook } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { GetObjectCommand, ListObjectVersionsCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { secretArn } from '../../infra/local/secrets-manager.ts';
import { openAny } from '../../lib/format/open-any.ts';
import { byPassphrase } from '../../lib/jobs/unlock.ts';
import { openFile } from '../../lib/source/file.ts';
import { targetKind } from '../s3/target.ts';
import { formsOf } from '../support/forms-of.ts';
import { persistently } from '../support/persistently.ts';
import { usePipeline } from './use-pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-keys-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Passphrases by the secrets that hold them. A newline at the end counts. */
const PASSPHRASES = {
  'disks/text': Buffer.from('open sesame, please\n'),
  'disks/other': Buffer.from('quite another one'),
  'disks/wrong': Buffer.from('open sesame, please'),
} as const;
type Name = keyof typeof PASSPHRASES;
const secrets = join(folder, 'secrets');
for (const [name, bytes] of Object.entries(PASSPHRASES)) {
  mkdirSync(dirname(join(secrets, name)), { recursive: true });
  writeFileSync(join(secrets, name), bytes);
}

const tool = (command: string, ...args: string[]) => execFileSync(command, args, { cwd: folder, stdio: 'pipe' });
const secretOf = (id: string, name: Name) => ['--object', `secret,id=${id},file=${join(secrets, name)}`];

interface Made {
  readonly file: string;
  readonly format: 'qcow' | 'qcow2';
  readonly secret: Name;
  readonly encryption: string;
  readonly size: string;
  readonly backing?: Made;
  readonly writes: readonly string[];
}

/** The image as QEMU's block layer takes it, each file of the chain with its own secret. */
function nodeOf({ file, format, backing }: Made, depth = 0): Record<string, unknown> {
  const own = { driver: format, file: { driver: 'file', filename: join(folder, file) } };
  const backs = backing ? { backing: nodeOf(backing, depth + 1) } : {};
  return { ...own, 'encrypt.key-secret': `s${depth}`, ...backs };
}

const secretsOf = (made: Made, depth = 0): string[] => [
  ...secretOf(`s${depth}`, made.secret),
  ...(made.backing ? secretsOf(made.backing, depth + 1) : []),
];

/** Makes an image by QEMU, and what QEMU makes of it. */
async function image(made: Made): Promise<{ readonly path: string; readonly raw: string }> {
  const { file, format, encryption, size, backing, writes } = made;
  const options = `encrypt.format=${encryption},encrypt.key-secret=s0`;
  const backs = backing ? ['-u', '-b', backing.file, '-F', backing.format] : [];
  const create = ['create', '-q', ...secretOf('s0', made.secret), '-f', format, '-o', options, ...backs, file, size];
  await persistently(async () => tool('qemu-img', ...create));
  const node = `json:${JSON.stringify(nodeOf(made))}`;
  tool('qemu-io', ...secretsOf(made), ...writes.flatMap((write) => ['-c', write]), node);
  tool('qemu-img', 'convert', ...secretsOf(made), '-O', 'raw', node, `${file}.raw`);
  return { path: join(folder, file), raw: join(folder, `${file}.raw`) };
}

const LUKS = 'luks,encrypt.iter-time=10';
const WRITES = ['write -P 1 0 100k', 'write -P 2 1M 1M', 'write -P 3 5000k 3000', 'write -z 1536k 64k'];

/** Derivations of keys in this process: Node makes one of these objects for each. */
function countDerivations() {
  const counted = { derivations: 0, stop: () => hook.disable() };
  const hook = createHook({
    init(_id, type) {
      if (type === 'PBKDF2REQUEST') counted.derivations += 1;
    },
  }).enable();
  return counted;
}

/** A destination that no part can be written to, and whether its share came with keys. */
const broken = { destination: '', hasKeys: false };
function failWhereBroken(input: unknown): void {
  const { share } = input as { share: { destination: { key: string }; keys?: unknown } };
  if (share.destination.key !== broken.destination) return;
  broken.hasKeys = share.keys !== undefined;
  throw Object.assign(new Error('the destination is out of order'), { name: 'DESTINATION_UNAVAILABLE' });
}

/** All that went through states and logs. */
const told: string[] = [];
const tell = (...what: unknown[]) => {
  told.push(JSON.stringify(what, (_name, value) => (value instanceof Error ? { ...value, text: value.stack } : value)));
};

describe('an encrypted image, with its passphrases in secrets', () => {
  const pipeline = usePipeline({
    secrets: { dir: secrets, denied: ['disks/denied'] },
    log: { info: tell, warn: tell, error: tell },
    lambda: (name, create) => {
      const run = create();
      return async (input, context) => {
        tell(input);
        if (name === 'convert-part') failWhereBroken(input);
        return run(input, context).then(
          (output) => {
            tell(output);
            return output;
          },
          (error: Error) => {
            tell(error.name, error.message, error.stack);
            throw error;
          },
        );
      };
    },
  });
  beforeAll(async () => {
    if (targetKind !== 'ours') return;
    // Whatever is ever written to the work bucket stays there to be looked at.
    const VersioningConfiguration = { Status: 'Enabled' as const };
    const Bucket = pipeline.stack.buckets.work;
    await pipeline.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  });
  const request = (key: string, keys?: Readonly<Record<string, string>>, more: object = {}) => ({
    source: { bucket: pipeline.stack.buckets.images, key },
    destination: { bucket: pipeline.stack.buckets.raw, key: `${key}.raw` },
    ...(keys ? { keys } : {}),
    ...more,
  });
  const reads = (name: string) => pipeline.stack.secrets?.reads.get(name) ?? 0;

  it.each([
    ['LUKS', 'in parts', { format: 'qcow2', encryption: LUKS, size: '260M', secret: 'disks/text' }, 2],
    ['LUKS', 'whole', { format: 'qcow2', encryption: LUKS, size: '8M', secret: 'disks/text' }, 2],
    ['AES', 'in parts', { format: 'qcow2', encryption: 'aes', size: '260M', secret: 'disks/text' }, 0],
    ['AES of version 1', 'in parts', { format: 'qcow', encryption: 'aes', size: '260M', secret: 'disks/text' }, 0],
    ['AES of version 1', 'whole', { format: 'qcow', encryption: 'aes', size: '8M', secret: 'disks/other' }, 0],
  ] as const)(
    'of %s, converted %s, is as qemu-img has it; a secret is read once, a key derived once',
    async (...row) => {
      const [, , kind, derivations] = row;
      const file = `${kind.format}-${kind.encryption.slice(0, 4)}-${kind.size}`;
      const writes = kind.size === '8M' ? WRITES : [...WRITES, 'write -P 7 259M 1M'];
      const { path, raw } = await image({
        ...kind,
        file,
        writes: kind.format === 'qcow' ? writes.filter((w) => !w.includes('-z')) : writes,
      });
      await pipeline.put(path, file);
      const before = reads(kind.secret);
      const counted = countDerivations();
      const ended = await pipeline.convert(request(file, { '': secretArn(kind.secret) }));
      counted.stop();
      expect(ended).toMatchObject({ status: 'SUCCEEDED' });
      expect(await pipeline.difference(`${file}.raw`, raw)).toBeUndefined();
      expect(reads(kind.secret) - before).toBe(1);
      // Two for the key slot that opens: the slot's key, and the digest that says that it is the right one.
      expect(counted.derivations).toBe(derivations);
      expect(await remaining()).toEqual([]);
    },
  );

  it.each(['8M', '260M'])('of a chain has a passphrase of its own for each file: %s', async (size) => {
    const base = { file: `base-${size}`, format: 'qcow', encryption: 'aes', size, secret: 'disks/other' } as const;
    const writes = WRITES.filter((write) => !write.includes('-z'));
    const bottom = await image({ ...base, writes });
    const overlay: Made = {
      file: `overlay-${size}`,
      format: 'qcow2',
      encryption: size === '8M' ? 'aes' : LUKS,
      size,
      secret: 'disks/text',
      backing: { ...base, writes },
      writes: ['write -P 9 40k 4k', 'write -P 10 6M 1M'],
    };
    const { path, raw } = await image(overlay);
    await pipeline.put(bottom.path, base.file);
    await pipeline.put(path, overlay.file);
    const gate = { allow: [`s3://${pipeline.stack.buckets.images}/`] };
    const keys = { '': secretArn('disks/text'), [base.file]: secretArn('disks/other') };
    const before = [reads('disks/text'), reads('disks/other')] as const;
    const ended = await pipeline.convert(request(overlay.file, keys, { gate }));
    expect(ended).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference(`${overlay.file}.raw`, raw)).toBeUndefined();
    expect([reads('disks/text'), reads('disks/other')]).toEqual(before.map((count) => count + 1));
  });

  it.each([
    ['no key', undefined, 'KEY_REQUIRED'],
    ['another passphrase', secretArn('disks/wrong'), 'WRONG_KEY'],
    ['a secret that is not there', secretArn('disks/missing'), 'KEY_DENIED'],
    ['a secret that may not be read', secretArn('disks/denied'), 'KEY_DENIED'],
    ['a secret outside the allowed names', secretArn('other/text'), 'NOT_ALLOWED'],
    ['the secret that keys are sealed under', secretArn('unqcow/sealing'), 'NOT_ALLOWED'],
    ['what is no ARN of a secret', 'disks/text', 'BAD_REQUEST'],
  ])('is refused with %s', async (_what, arn, code) => {
    const asked = [...(pipeline.stack.secrets?.reads.values() ?? [])].reduce((sum, count) => sum + count, 0);
    const ended = await pipeline.convert(request('qcow2-luks-8M', arn === undefined ? undefined : { '': arn }));
    expect(ended).toMatchObject({ status: 'FAILED', error: code });
    const askedNow = [...(pipeline.stack.secrets?.reads.values() ?? [])].reduce((sum, count) => sum + count, 0);
    expect(askedNow - asked).toBe(['WRONG_KEY', 'KEY_DENIED'].includes(code) ? 1 : 0);
    expect(await remaining()).toEqual([]);
  });

  it('costs no secret where it is not encrypted after all', async () => {
    tool('qemu-img', 'create', '-q', '-f', 'qcow2', 'plain', '8M');
    await pipeline.put(join(folder, 'plain'), 'plain');
    const before = reads('disks/text');
    const ended = await pipeline.convert(request('plain', { '': secretArn('disks/text') }));
    expect(ended).toMatchObject({ status: 'SUCCEEDED' });
    expect(reads('disks/text')).toBe(before);
  });

  it('leaves no sealed key behind where the job fails after it was planned', async () => {
    const input = request('qcow2-luks-260M', { '': secretArn('disks/text') });
    const destination = { bucket: pipeline.stack.buckets.raw, key: 'fails.raw' };
    broken.destination = destination.key;
    expect(await pipeline.convert({ ...input, destination })).toMatchObject({ status: 'FAILED' });
    expect(broken.hasKeys).toBe(true);
    expect(await remaining()).toEqual([]);
  });

  it.runIf(targetKind === 'ours')('shows its passphrases and keys in no state, log, error or record', async () => {
    const everything = [...told, ...(await writtenToWork())];
    expect(everything.length).toBeGreaterThan(100);
    expect(
      everything.filter((text) => text.includes('"sealed"') || text.includes('"secretVersion"')).length,
    ).toBeGreaterThan(5);
    const keys = await Promise.all(
      ['qcow2-luks-260M', 'qcow2-luks-8M', 'overlay-260M'].map(async (file) => {
        const source = await openFile(join(folder, file));
        const { bytes } = await byPassphrase({ '': PASSPHRASES['disks/text'] })(await openAny(source), '');
        await source.close();
        return Buffer.from(bytes);
      }),
    );
    expect(keys.every((key) => key.length === 64)).toBe(true);
    const sealing = readFileSync(join(secrets, 'unqcow/sealing'));
    const hidden = [...Object.values(PASSPHRASES), ...keys, sealing];
    for (const bytes of hidden) {
      for (const form of formsOf(bytes)) expect(everything.filter((text) => text.includes(form))).toEqual([]);
    }
    // The same search does find what is there: the ARN of a secret.
    expect(everything.some((text) => text.includes(secretArn('disks/text')))).toBe(true);
  });

  /** Every version of every object that was ever in the work bucket, but for zeros. */
  async function writtenToWork(): Promise<string[]> {
    const Bucket = pipeline.stack.buckets.work;
    const { Versions = [] } = await pipeline.client.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'jobs/' }));
    return Promise.all(
      Versions.map(async ({ Key, VersionId }) => {
        const { Body } = await pipeline.client.send(new GetObjectCommand({ Bucket, Key, VersionId }));
        return Buffer.from((await Body?.transformToByteArray()) ?? []).toString('latin1');
      }),
    );
  }

  /** Sealed keys that are still there. */
  async function remaining(): Promise<(string | undefined)[]> {
    const Bucket = pipeline.stack.buckets.work;
    const { Versions = [] } = await pipeline.client.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'jobs/' }));
    return Versions.filter(({ Key, IsLatest }) => IsLatest && Key?.endsWith('/keys.json')).map(({ Key }) => Key);
  }
});

describe('a deployment without a sealing secret', () => {
  const pipeline = usePipeline();

  it('takes no keys, and says so: KEYS_NOT_CONFIGURED', async () => {
    const input = {
      source: { bucket: pipeline.stack.buckets.images, key: 'any.qcow2' },
      destination: { bucket: pipeline.stack.buckets.raw, key: 'any.raw' },
      keys: { '': secretArn('disks/text') },
    };
    expect(await pipeline.convert(input)).toMatchObject({ status: 'FAILED', error: 'KEYS_NOT_CONFIGURED' });
  });
});
