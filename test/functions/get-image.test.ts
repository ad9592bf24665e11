import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ErrorCodes } from '../../lib/errors.ts';
import { KiB } from '../../lib/units.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { RECIPES, type RecipeName } from '../recipes.ts';
import { targetKind } from '../s3/target.ts';
import { type Qemu, useQemu } from '../support/qemu.ts';

const pipeline = usePipeline();
let qemu: Qemu;
beforeAll(async () => {
  qemu = await useQemu();
});
afterAll(() => qemu.close());

/** What the store served since, of the requests and bytes that a metadata request may make. */
function served() {
  const { requests = {}, bytesOut = 0 } = pipeline.stack.s3?.metrics() ?? {};
  const { GetObject = 0, HeadObject = 0 } = requests as Record<string, number>;
  return { GetObject, HeadObject, bytesOut };
}

async function get(path: string) {
  const before = served();
  const response = await fetch(`${pipeline.stack.apiEndpoint}${path}`);
  const body = (await response.json()) as Record<string, unknown>;
  const after = served();
  const gets = after.GetObject - before.GetObject;
  const heads = after.HeadObject - before.HeadObject;
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    body,
    gets,
    heads,
    bytes: after.bytesOut - before.bytesOut,
  };
}

const imagePath = (key: string) => `/images/${pipeline.stack.buckets.images}/${key}`;

describe('GET /images/{bucket}/{key+}', () => {
  const names = (Object.keys(RECIPES) as RecipeName[]).filter((name) => !name.includes('snapshot'));

  it.each(names)('says of %s what qemu-img says, in at most 2 GETs and 128 KiB', async (name) => {
    const image = await qemu.image(name);
    await pipeline.put(image, `recipes/${name}`);
    const { status, body, gets, heads, bytes } = await get(imagePath(`recipes/${name}`));
    expect(status).toBe(200);
    const { filename: _, 'actual-size': __, ...expected } = await qemu.info(image);
    expect(body).toMatchObject(expected);
    if (targetKind !== 'ours') return;
    expect({ gets, heads }).toEqual({ gets: 1, heads: 0 });
    expect(bytes).toBeLessThanOrEqual(64 * KiB);
  });

  it('finds a key that no path can carry, by ?key=', async () => {
    const image = await qemu.image('clusters-64k');
    const key = 'odd//folder/../a b+ü';
    await pipeline.put(image, key);
    const { status, body } = await get(`/images/${pipeline.stack.buckets.images}?key=${encodeURIComponent(key)}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ filename: `s3://${pipeline.stack.buckets.images}/${key}` });
  });

  it('refuses what is no image, with the code and the place, as problem+json', async () => {
    const path = join(qemu.folder, 'not-an-image');
    writeFileSync(path, Buffer.alloc(1000, 1));
    await pipeline.put(path, 'not-an-image');
    const { status, type, body } = await get(imagePath('not-an-image'));
    expect({ status, type }).toEqual({ status: 422, type: 'application/problem+json' });
    expect(body).toMatchObject({
      type: 'urn:unqcow:error:NOT_QCOW',
      title: ErrorCodes.NOT_QCOW.means,
      status: 422,
      code: 'NOT_QCOW',
      at: 'header.magic',
    });
  });

  it('refuses an empty object: TRUNCATED_HEADER', async () => {
    const path = join(qemu.folder, 'no-bytes');
    writeFileSync(path, '');
    await pipeline.put(path, 'no-bytes');
    expect(await get(imagePath('no-bytes'))).toMatchObject({ status: 422, body: { code: 'TRUNCATED_HEADER' } });
  });

  it('says that there is no such object: SOURCE_NOT_FOUND', async () => {
    expect(await get(imagePath('missing'))).toMatchObject({ status: 404, body: { code: 'SOURCE_NOT_FOUND' } });
  });

  it('asks the store nothing about a bucket that is not allowed: NOT_ALLOWED', async () => {
    const { status, body, gets, heads } = await get('/images/somewhere-else/a.qcow2');
    expect({ status, code: body.code, gets, heads }).toEqual({ status: 403, code: 'NOT_ALLOWED', gets: 0, heads: 0 });
  });

  it.each([
    ['/images/UPPER/a.qcow2', 'bucket'],
    ['/images/some-bucket', 'key'],
    [`/images/some-bucket/${'k'.repeat(1025)}`, 'key'],
  ])('refuses %s before it asks the store: BAD_REQUEST', async (path, at) => {
    const { status, body, gets } = await get(path);
    expect({ status, code: body.code, gets }).toEqual({ status: 400, code: 'BAD_REQUEST', gets: 0 });
    expect(body.at).toContain(at);
  });
});
