import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { DiskKey } from '../../lib/chunk/crypto/disk-key.ts';
import { type JobKeys, loadKeys, storeKeys, type Vault } from '../../lib/jobs/vault.ts';
import { getText, putJson } from '../../lib/sink/s3-object.ts';
import { idOf } from '../../lib/source/s3.ts';
import { useStore } from '../support/store.ts';

const store = useStore();

const secret = (bytes: Uint8Array): Vault => ({
  sealingSecret: 'arn',
  readSecret: async (_arn, versionId = 'first') => ({ bytes, versionId }),
});
const vault = secret(randomBytes(32));
const source = { bucket: 'images', key: 'disk.qcow2', etag: '"1"', size: 1 };
const key: DiskKey = { cipher: 'aes-256', mode: 'xts', iv: 'plain64', numbering: 'host', bytes: randomBytes(64) };
const keys: JobKeys = new Map([[idOf(source), key]]);
const at = (job: string) => ({ bucket: store.s3.bucket, key: `jobs/${job}/keys.json` });

describe('a job’s keys', () => {
  it('come back as they were stored', async () => {
    await storeKeys(store.stores, vault, { at: at('one'), source, keys });
    const [[id, loaded] = []] = await loadKeys(store.stores, vault, { at: at('one'), source });
    expect(id).toBe(idOf(source));
    expect({ ...loaded, bytes: Buffer.from(loaded?.bytes ?? []) }).toEqual({ ...key, bytes: Buffer.from(key.bytes) });
  });

  it.each([
    ['another job', { at: at('other'), source }, vault],
    ['another image', { at: at('one'), source: { ...source, etag: '"2"' } }, vault],
    ['another deployment', { at: at('one'), source }, secret(randomBytes(32))],
  ])('do not open for %s: KEY_SEAL_BROKEN', async (_whom, place, theirs) => {
    await storeKeys(store.stores, vault, { at: at('one'), source, keys });
    await putJson(store.stores.writer, at('other'), JSON.parse(await getText(store.stores.writer, at('one'))));
    await expect(loadKeys(store.stores, theirs, place)).rejects.toMatchObject({ code: 'KEY_SEAL_BROKEN' });
  });

  it.each(['{}', 'null', '{"salt": 1, "bytes": [], "secretVersion": "x"}'])(
    'that are %s do not open either',
    async (json) => {
      await putJson(store.stores.writer, at('broken'), JSON.parse(json));
      const broken = loadKeys(store.stores, vault, { at: at('broken'), source });
      await expect(broken).rejects.toMatchObject({ code: 'KEY_SEAL_BROKEN' });
    },
  );

  it('are stored under no secret that could be guessed: KEYS_NOT_CONFIGURED', async () => {
    const weak = storeKeys(store.stores, secret(randomBytes(31)), { at: at('weak'), source, keys });
    await expect(weak).rejects.toMatchObject({ code: 'KEYS_NOT_CONFIGURED' });
    const none = storeKeys(store.stores, undefined, { at: at('none'), source, keys });
    await expect(none).rejects.toMatchObject({ code: 'KEYS_NOT_CONFIGURED' });
  });
});
