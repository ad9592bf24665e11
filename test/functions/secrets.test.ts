import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSecrets, openVault } from '../../functions/_shared/secrets.ts';
import { type LocalSecretsManager, secretArn, startSecretsManager } from '../../infra/local/secrets-manager.ts';
import type { ReadSecret } from '../../lib/jobs/vault.ts';

let dir: string;
let server: LocalSecretsManager;
let read: ReadSecret;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'unqcow-secrets-'));
  await mkdir(join(dir, 'disks'));
  server = await startSecretsManager({ dir, denied: ['disks/denied'] });
  read = openSecrets({ endpoint: server.endpoint, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
});
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const put = (name: string, bytes: string | Uint8Array) => writeFile(join(dir, name), bytes);

describe('a secret', () => {
  it.each([
    ['text with a newline', Buffer.from('open sesame\n')],
    ['text with a byte order mark', Buffer.from('\ufeffümlaut')],
    ['bytes that are no text', Buffer.from([0xff, 0x00, 0xfe, 0x0a])],
    ['nothing', Buffer.alloc(0)],
  ])('is its exact bytes: %s', async (_what, bytes) => {
    await put('disks/exact', bytes);
    expect(Buffer.from((await read(secretArn('disks/exact'))).bytes)).toEqual(bytes);
  });

  it('has versions, of which an older one can still be asked for', async () => {
    await put('disks/rotated', 'before');
    const { versionId } = await read(secretArn('disks/rotated'));
    await put('disks/rotated', 'after');
    expect(Buffer.from((await read(secretArn('disks/rotated'))).bytes).toString()).toBe('after');
    expect(Buffer.from((await read(secretArn('disks/rotated'), versionId)).bytes).toString()).toBe('before');
  });

  it.each(['disks/missing', 'disks/denied'])(
    'that cannot be read is KEY_DENIED, with the same words: %s',
    async (name) => {
      const refusal = { code: 'KEY_DENIED', message: `${secretArn(name)} cannot be read`, retryable: false };
      await expect(read(secretArn(name))).rejects.toMatchObject(refusal);
    },
  );

  it('is KEY_UNAVAILABLE, to be tried again, where nobody answers', async () => {
    const gone = await startSecretsManager({ dir });
    await gone.close();
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
    const nowhere = openSecrets({ endpoint: gone.endpoint, credentials, maxAttempts: 1 });
    await expect(nowhere(secretArn('disks/exact'))).rejects.toMatchObject({ code: 'KEY_UNAVAILABLE', retryable: true });
  });
});

describe('a vault', () => {
  it('reads a version of its sealing secret once, and one that could not be read again', async () => {
    await put('disks/sealing', 'x'.repeat(48));
    const arn = secretArn('disks/sealing');
    let fail = true;
    const vault = openVault(arn, async (asked, versionId) => {
      if (fail) throw new Error('out of order');
      return read(asked, versionId);
    });
    await expect(vault.readSecret(arn, 'any')).rejects.toThrow('out of order');
    fail = false;
    const { versionId } = await vault.readSecret(arn);
    const before = server.reads.get('disks/sealing');
    await Promise.all([vault.readSecret(arn, versionId), vault.readSecret(arn, versionId)]);
    await vault.readSecret(arn, versionId);
    expect(server.reads.get('disks/sealing')).toBe((before ?? 0) + 1);
  });
});
