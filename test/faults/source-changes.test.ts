import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, PutBucketVersioningCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalFunction } from '../../infra/local/step-functions/server.ts';
import { openStores } from '../../lib/jobs/stores.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import { SMALL_PARTS, sixParts } from '../pipeline/small-world.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';

const folder = mkdtempSync(join(tmpdir(), 'unqcow-changes-'));
afterAll(() => rmSync(folder, { recursive: true }));
const one = sixParts(folder, 'one', 1);
const other = sixParts(folder, 'other', 99);

const MOMENTS = ['planned', 'converted', 'completed'] as const;
/** What is done to the image once, at a moment of its conversion. */
const change: { at?: (typeof MOMENTS)[number] | undefined; make: () => Promise<unknown> } = {
  make: async () => undefined,
};
async function now(moment: (typeof MOMENTS)[number]): Promise<void> {
  if (change.at !== moment) return;
  change.at = undefined;
  await change.make();
}

/** Once Plan has read the header, the image changes. */
function changesAfterRead(reader: S3Client): void {
  reader.middlewareStack.add(
    (next) => async (args) => {
      const answer = await next(args);
      await now('planned');
      return answer;
    },
    { step: 'deserialize' },
  );
}

const pipeline = usePipeline({
  limits: SMALL_PARTS,
  stores(store) {
    const stores = openStores(store);
    changesAfterRead(stores.reader);
    return stores;
  },
  lambda(name, create): LocalFunction {
    const work = create();
    return async (payload, context) => {
      if (name === 'convert-part') await now('converted');
      if (name === 'complete') await now('completed');
      return work(payload, context);
    };
  },
});

async function convert(key: string, at: (typeof MOMENTS)[number], make: () => Promise<unknown>) {
  await pipeline.put(one.path, key);
  Object.assign(change, { at, make });
  const { images, raw } = pipeline.stack.buckets;
  const ended = await pipeline.convert({ source: { bucket: images, key }, destination: { bucket: raw, key } });
  expect(change.at).toBeUndefined();
  expect(await pipeline.openUploads()).toEqual([]);
  return ended;
}
const nothingAt = async (key: string) =>
  expect(await headObject(pipeline.stores.reader, { bucket: pipeline.stack.buckets.raw, key })).toBeUndefined();
const remove = async (key: string, VersionId?: string) =>
  pipeline.client.send(new DeleteObjectCommand({ Bucket: pipeline.stack.buckets.images, Key: key, VersionId }));

describe.each(MOMENTS)('an image that is being %s', (moment) => {
  it('and is replaced ends the conversion: SOURCE_CHANGED', async () => {
    const key = `replaced-${moment}`;
    expect(await convert(key, moment, () => pipeline.put(other.path, key))).toMatchObject({ error: 'SOURCE_CHANGED' });
    await nothingAt(key);
  });

  it('and is deleted ends the conversion: SOURCE_CHANGED', async () => {
    const key = `deleted-${moment}`;
    expect(await convert(key, moment, () => remove(key))).toMatchObject({ error: 'SOURCE_CHANGED' });
    await nothingAt(key);
  });
});

describe('in a bucket that keeps versions', () => {
  beforeAll(async () => {
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    const Bucket = pipeline.stack.buckets.images;
    await pipeline.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  });

  it.each(MOMENTS)('an image that is replaced while it is being %s is converted as it was', async (moment) => {
    const key = `kept-${moment}`;
    const ended = await convert(key, moment, () => pipeline.put(other.path, key));
    expect(ended).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference(key, one.raw)).toBeUndefined();
  });

  it.each(MOMENTS)(
    'a version that is deleted while it is being %s ends the conversion: SOURCE_CHANGED',
    async (moment) => {
      const key = `gone-${moment}`;
      const versionOf = async () => headObject(pipeline.stores.reader, { bucket: pipeline.stack.buckets.images, key });
      const ended = await convert(key, moment, async () => remove(key, (await versionOf())?.versionId));
      expect(ended).toMatchObject({ error: 'SOURCE_CHANGED' });
      await nothingAt(key);
    },
  );
});
