import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CopyObjectCommand, DeleteObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { MiB } from '../../lib/units.ts';
import { bytes, crc32Base64, MIN_PART } from './support/bytes.ts';
import { statusOf } from './support/refusal.ts';
import { send } from './support/send.ts';
import { useLocalS3 } from './support/use-local-s3.ts';
import { targetKind } from './target.ts';

const describeOurs = describe.runIf(targetKind === 'ours');

describeOurs('what our server keeps', () => {
  const s3 = useLocalS3();
  const large = bytes(MIN_PART, 30);
  const remove = (key: string) => s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key: key }));

  it('outlives a restart: objects, uploads and their parts', async () => {
    await s3.put('kept/ü', large, { Metadata: { a: 'b' } });
    const upload = await s3.upload('later', { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
    const first = await upload.part(1, large);
    await s3.stop();
    await s3.start();
    expect((await s3.get('kept/ü')).body.equals(large)).toBe(true);
    expect((await s3.head('kept/ü')).Metadata).toEqual({ a: 'b' });
    const again = Object.assign(await s3.upload('other'), { at: upload.at });
    const second = await again.copy(2, `${s3.bucket}/${encodeURIComponent('kept/ü')}`);
    const whole = Buffer.concat([large, large]);
    await again.complete([first, second], { ChecksumCRC32: crc32Base64(whole) });
    expect((await s3.get('later')).body.equals(whole)).toBe(true);
  });

  it('takes no space where there are zeros, and its parts’ copies take none at all', async () => {
    const sparse = Buffer.alloc(32 * MiB);
    sparse.set(bytes(65_536), 20 * MiB);
    await s3.put('sparse', sparse);
    expect(await s3.stored()).toBe(65_536);
    const upload = await s3.upload('copies', { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
    const parts = [await upload.copy(1, `${s3.bucket}/sparse`), await upload.copy(2, `${s3.bucket}/sparse`)];
    await upload.complete(parts, { ChecksumCRC32: crc32Base64(Buffer.concat([sparse, sparse])) });
    expect(await s3.stored()).toBe(65_536);
    expect(
      (await s3.get('copies', { Range: `bytes=${52 * MiB - 1}-${52 * MiB + 65_536}` })).body.equals(
        sparse.subarray(20 * MiB - 1, 20 * MiB + 65_537),
      ),
    ).toBe(true);
  });

  it('goes with the last that refers to it', async () => {
    await s3.put('a', large);
    await s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: 'b', CopySource: `${s3.bucket}/a` }));
    const upload = await s3.upload('c');
    await upload.copy(1, `${s3.bucket}/b`);
    await remove('a');
    expect(await s3.stored()).toBe(MIN_PART);
    await s3.put('b', 'short');
    expect(await s3.stored()).toBe(MIN_PART + 5);
    await upload.abort();
    expect(await s3.stored()).toBe(5);
    await remove('b');
    expect(await s3.files('blobs')).toEqual([]);
  });

  it('of a replaced part, and of parts that were not listed, is given up', async () => {
    const upload = await s3.upload('few');
    await upload.part(1, large);
    const kept = await upload.part(1, bytes(1000));
    await upload.part(2, large);
    await upload.complete([kept]);
    expect(await s3.stored()).toBe(1000);
    expect(await s3.files('uploads')).toEqual([]);
  });

  it('never has a name that came from a key', async () => {
    for (const key of ['../../escape', '/etc/escape', 'a/../../../../escape', '..', 'nul\u0000escape', 'C:\\escape'])
      await s3.put(key, key);
    for (const { name } of await s3.files()) {
      expect(name).toMatch(
        /^(blobs\/[0-9a-f]{24}|buckets\/unqcow-test-[0-9a-f-]+\/(bucket|objects\/[0-9a-f]{64})\.json)$/,
      );
    }
    const { Contents = [] } = await s3.client.send(
      new ListObjectsV2Command({ Bucket: s3.bucket, EncodingType: 'url' }),
    );
    expect(Contents).toHaveLength(6);
  });

  it('does not have what a client sent only half of', async () => {
    const raw = { method: 'PUT', path: `/${s3.bucket}/half`, body: bytes(3 * MiB), cutAfter: 2 * MiB };
    await expect(send(s3.target, raw)).rejects.toThrow();
    await expect.poll(() => s3.files('blobs'), { timeout: 5000 }).toEqual([]);
    expect(await statusOf(s3.head('half'))).toBe(404);
  });

  it('is whole or absent after a kill in the middle of writing', async () => {
    await s3.put('victim', 'before');
    await s3.stop();
    const { accessKeyId, secretAccessKey } = s3.credentials;
    const child = spawn(process.execPath, [
      fileURLToPath(new URL('./support/serve.ts', import.meta.url)),
      s3.dir,
      accessKeyId,
      secretAccessKey,
    ]);
    const [line] = await once(child.stdout, 'data');
    s3.use(String(line).trim());
    const cut = send(s3.target, {
      method: 'PUT',
      path: `/${s3.bucket}/victim`,
      body: bytes(8 * MiB),
      cutAfter: 6 * MiB,
    }).catch(() => {});
    const puts = Array.from({ length: 40 }, (_, i) => statusOf(s3.put(`many/${i}`, bytes(200_000, i))).catch(() => 0));
    await Promise.race(puts.slice(5));
    child.kill('SIGKILL');
    await Promise.all([cut, once(child, 'exit')]);
    const answers = await Promise.all(puts);
    await s3.start();
    expect((await s3.get('victim')).body.toString()).toBe('before');
    const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: s3.bucket, Prefix: 'many/' }));
    for (const { Key = '' } of Contents) {
      expect((await s3.get(Key)).body.equals(bytes(200_000, Number(Key.slice(5))))).toBe(true);
    }
    const answered = answers.flatMap((status, i) => (status === 200 ? [`many/${i}`] : []));
    expect(Contents.map(({ Key }) => Key)).toEqual(expect.arrayContaining(answered));
    expect(await s3.stored()).toBe(6 + Contents.length * 200_000);
  });
});
