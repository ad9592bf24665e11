import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sixParts } from './small-world.ts';
import { usePipeline } from './use-pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-retries-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('an upload’s event whose function fails', () => {
  const attempts = { key: '', made: 0, failing: 0 };
  const pipeline = usePipeline({
    lambda: (name, create) => {
      const work = create();
      if (name !== 'on-upload') return work;
      return async (event, context) => {
        // The local S3 tells of all its buckets.
        if (!JSON.stringify(event).includes(`"key":"${attempts.key}"`)) return work(event, context);
        attempts.made += 1;
        if (attempts.made <= attempts.failing)
          throw Object.assign(new Error('out of order'), { name: 'SOURCE_DENIED' });
        return work(event, context);
      };
    },
  });
  const fail = (key: string, failing: number) => Object.assign(attempts, { key, made: 0, failing });

  it('comes twice more, as Lambda invokes it, and loses no conversion', async () => {
    const { path, raw } = sixParts(folder, 'twice');
    fail('twice.qcow2', 2);
    expect(await pipeline.upload(path, 'twice.qcow2')).toMatchObject({ status: 'SUCCEEDED' });
    expect(attempts.made).toBe(3);
    expect(await pipeline.difference('twice.qcow2.raw', raw)).toBeUndefined();
  });

  it('goes to the queue of failures after that, with why', async () => {
    const key = 'never.qcow2';
    fail(key, 3);
    const Records = [
      { eventSource: 'aws:s3', eventName: 'ObjectCreated:Put', s3: { bucket: { name: 'images' }, object: { key } } },
    ];
    await expect(pipeline.stack.deliver({ Records })).rejects.toMatchObject({ name: 'SOURCE_DENIED' });
    expect(attempts.made).toBe(3);
  });
});
