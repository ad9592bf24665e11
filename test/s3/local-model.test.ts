import { CopyObjectCommand, DeleteObjectCommand } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KiB } from '../../lib/units.ts';
import { bytes, crc32Base64 } from './support/bytes.ts';
import { statusOf } from './support/refusal.ts';
import { type TestLocalS3, useLocalS3 } from './support/use-local-s3.ts';
import { targetKind } from './target.ts';

type Model = Map<string, Buffer>;
type Step = (s3: TestLocalS3, model: Model) => Promise<void>;

const key = fc.constantFrom('a', 'b', 'c');
/** Runs of data and of zeros, with edges on, before and after the blocks of 64 KiB. */
const run = fc.record({ size: fc.constantFrom(1, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 150_000), seed: fc.nat(3) });
const content = fc
  .array(run, { maxLength: 4 })
  .map((runs) => Buffer.concat(runs.map(({ size, seed }) => (seed === 0 ? Buffer.alloc(size) : bytes(size, seed)))));

const put = fc.tuple(key, content).map(
  ([to, data]): Step =>
    async (s3, model) => {
      await s3.put(to, data);
      model.set(to, data);
    },
);

const remove = key.map(
  (of): Step =>
    async (s3, model) => {
      await s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key: of }));
      model.delete(of);
    },
);

const copy = fc.tuple(key, key).map(
  ([from, to]): Step =>
    async (s3, model) => {
      const data = model.get(from);
      const input = {
        Bucket: s3.bucket,
        Key: to,
        CopySource: `${s3.bucket}/${from}`,
        ChecksumAlgorithm: 'CRC32' as const,
      };
      const status = await statusOf(s3.client.send(new CopyObjectCommand({ ...input, MetadataDirective: 'REPLACE' })));
      expect(status).toBe(data === undefined ? 404 : 200);
      if (data !== undefined) model.set(to, data);
    },
);

/** An upload of one part, put or copied: completed, or aborted. */
const upload = fc.tuple(key, fc.option(key), content, fc.boolean()).map(
  ([to, from, data, completes]): Step =>
    async (s3, model) => {
      const source = from === null ? undefined : model.get(from);
      const begun = await s3.upload(to, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
      const first = await begun.part(1, data);
      const part = source === undefined ? first : await begun.copy(1, `${s3.bucket}/${from}`);
      if (!completes) return void (await begun.abort());
      await begun.complete([part], { ChecksumCRC32: crc32Base64(source ?? data) });
      model.set(to, source ?? data);
    },
);

const restart = fc.constant<Step>(async (s3) => {
  await s3.stop();
  await s3.start();
});

describe.runIf(targetKind === 'ours')('whatever is done to our server', () => {
  const s3 = useLocalS3();

  it('has the bytes that were put, their CRC32s, and no byte on disk that nothing refers to', {
    timeout: 120_000,
  }, async () => {
    const steps = fc.array(fc.oneof(put, put, copy, upload, upload, remove, restart), { minLength: 4, maxLength: 14 });
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const model: Model = new Map();
        for (const step of taken) await step(s3, model);
        for (const [of, data] of model) {
          const { body, ChecksumCRC32 = crc32Base64(data) } = await s3.get(of, { ChecksumMode: 'ENABLED' });
          expect(body.equals(data) && ChecksumCRC32 === crc32Base64(data)).toBe(true);
          const middle = data.subarray(data.length >> 2, (data.length >> 1) + 1);
          if (data.length === 0) continue;
          const Range = `bytes=${data.length >> 2}-${data.length >> 1}`;
          expect((await s3.get(of, { Range })).body.equals(middle)).toBe(true);
        }
        for (const of of ['a', 'b', 'c']) await empty(of);
        expect(await s3.files('blobs')).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  const empty = (of: string) => s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key: of }));
});
