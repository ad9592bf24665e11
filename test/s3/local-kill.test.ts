import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CopyObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { bytes, crc32Base64, MIN_PART } from './support/bytes.ts';
import { statusOf } from './support/refusal.ts';
import { type TestLocalS3, useLocalS3 } from './support/use-local-s3.ts';
import type { TestUpload } from './support/use-s3.ts';
import { targetKind } from './target.ts';

const ROUNDS = 8;
const large = bytes(MIN_PART, 70);
const small = bytes(70_000, 71);
const whole = Buffer.concat([large, small]);

/** What a client was told, by the time that the server was killed. */
interface Told {
  readonly whole: Set<string>;
  readonly parts: Map<
    string,
    { readonly upload: TestUpload; readonly done: { PartNumber: number; ETag?: string | undefined }[] }
  >;
}

describe.runIf(targetKind === 'ours')('our server, killed at any moment', () => {
  const s3 = useLocalS3();

  it('has every object whole or not at all, and lets uploads go on', { timeout: 240_000 }, async () => {
    const finished: string[] = [];
    let resumed = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const told: Told = { whole: new Set(), parts: new Map() };
      await s3.stop();
      const child = await serve(s3);
      // Each round dies after so many answers, in the middle of what is under way then.
      let left = 2 + round;
      const answered = () => {
        left -= 1;
        if (left === 0) child.kill('SIGKILL');
      };
      await Promise.all([0, 1, 2].map((worker) => work(`${round}-${worker}`, told, answered).catch(() => {})));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      await s3.start();
      resumed += await check(round, told);
      finished.push(...told.whole);
    }
    for (const key of finished) expect((await s3.head(key)).ContentLength, key).toBe(whole.length);
    expect(finished.length).toBeGreaterThan(0);
    expect(resumed).toBeGreaterThan(0);
  });

  /** Puts, uploads in parts, completes, copies: each step one answer. */
  async function work(id: string, told: Told, answered: () => void): Promise<void> {
    const key = `whole/${id}`;
    await s3.put(key, whole).then(answered);
    told.whole.add(key);
    const upload = await s3.upload(`joined/${id}`, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
    const done: { PartNumber: number; ETag?: string | undefined }[] = [];
    told.parts.set(upload.at.Key, { upload, done });
    answered();
    for (const [index, data] of [large, small].entries()) done.push(await upload.part(index + 1, data));
    answered();
    const copy = { Bucket: s3.bucket, Key: `copy/${id}`, CopySource: `${s3.bucket}/${key}` };
    const note = (of: string) => () => {
      told.whole.add(of);
      answered();
    };
    const completing = upload.complete(done, { ChecksumCRC32: crc32Base64(whole) }).then(note(upload.at.Key));
    const copying = s3.client.send(new CopyObjectCommand(copy)).then(note(copy.Key));
    await Promise.allSettled([completing, copying]);
  }

  /** @returns how many uploads were found open, and gone on with */
  async function check(round: number, { whole: objects, parts }: Told): Promise<number> {
    for (const key of objects) expect(await isWhole(key), key).toBe(true);
    const { Uploads = [] } = await s3.client.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket }));
    const open = new Set(Uploads.map(({ UploadId }) => UploadId));
    const begun = [...parts.values()].filter(({ upload }) => open.has(upload.at.UploadId));
    for (const { upload, done } of begun) {
      const again = s3.resume(upload.at);
      const known = done.map(({ PartNumber, ETag }) => expect.objectContaining({ PartNumber, ETag }));
      expect((await again.parts()).Parts ?? []).toEqual(expect.arrayContaining(known));
      const all = [await again.part(1, large), await again.part(2, small)];
      await again.complete(all, { ChecksumCRC32: crc32Base64(whole) });
    }
    // Those that are not open were completed, though perhaps nobody was told.
    for (const key of parts.keys()) expect(await isWhole(key), key).toBe(true);
    // What was under way and is there is whole, though nobody was told of it.
    for (const key of [0, 1, 2].map((worker) => `whole/${round}-${worker}`))
      expect((await statusOf(s3.head(key))) === 404 || (await isWhole(key)), key).toBe(true);
    return begun.length;
  }

  const isWhole = async (key: string) => (await s3.get(key)).body.equals(whole);
});

/** The server in a process of its own, on the same data. */
async function serve(s3: TestLocalS3): Promise<ChildProcess> {
  const { accessKeyId, secretAccessKey } = s3.credentials;
  const script = fileURLToPath(new URL('./support/serve.ts', import.meta.url));
  const child = spawn(process.execPath, [script, s3.dir, accessKeyId, secretAccessKey]);
  const [line] = await once(child.stdout, 'data');
  s3.use(String(line).trim());
  return child;
}
