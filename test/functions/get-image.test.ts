import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ErrorCodes } from '../../lib/errors.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { RECIPES, type RecipeName } from '../recipes.ts';
import { targetKind } from '../s3/target.ts';
import { EXT, imageBytes, padded, u64s } from '../support/hostile.ts';
import { withSnapshots } from '../support/hostile-snapshots.ts';
import { useQemu } from '../support/use-qemu.ts';

const pipeline = usePipeline();
const qemu = useQemu();

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

  it('answers of a bucket that is not allowed what it answers of one that is not there, without asking the store', async () => {
    const missing = await get(imagePath('missing'));
    const { status, body, gets, heads } = await get(`/images/${pipeline.stack.buckets.raw}/missing`);
    expect({ gets, heads }).toEqual({ gets: 0, heads: 0 });
    const renamed = JSON.stringify(body).replace(pipeline.stack.buckets.raw, pipeline.stack.buckets.images);
    expect({ status, body: JSON.parse(renamed) }).toEqual({ status: missing.status, body: missing.body });
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

/** What a Lambda may answer: the body is a string inside its JSON. */
const LAMBDA_ANSWER = 6 * MiB;
const LONG = '\u0001'.repeat(65_535);
const SNAPSHOTS = 12;
const BITMAPS = 400;

/** An image whose lists are short, but for their names: 12 snapshots and 400 bitmaps make more than 10 MiB of JSON. */
function longNames(): Uint8Array {
  const { patches = {}, ...spec } = withSnapshots(Array.from({ length: SNAPSHOTS }, () => ({ name: LONG })));
  const directory = Buffer.concat(Array.from({ length: BITMAPS }, (_, i) => bitmapEntry(`${LONG.slice(0, 1000)}${i}`)));
  const at = padded(Buffer.alloc(spec.fileSize as number), 4096).length;
  const extension = u64s([BigInt(BITMAPS) << 32n, BigInt(directory.length), BigInt(at)]);
  return imageBytes({
    ...spec,
    extensions: [{ type: EXT.bitmaps, data: extension }],
    fileSize: at + directory.length,
    patches: { ...patches, [at]: directory },
    header: { ...spec.header, autoclearFeatures: 1 },
  });
}

/** A bitmap of clusters of 64 KiB, whose table is the second cluster of data. */
function bitmapEntry(name: string): Buffer {
  const entry = Buffer.alloc(24);
  entry.writeBigUInt64BE(0x6000n, 0);
  entry.writeUInt32BE(1, 8);
  entry.set([1, 16], 16);
  entry.writeUInt16BE(name.length, 18);
  return padded(Buffer.concat([entry, Buffer.from(name)]), 8);
}

describe('GET /images/{bucket}/{key+} of lists that are too long for one answer', () => {
  const putBytes = async (key: string, bytes: Uint8Array) => {
    const path = join(qemu.folder, key);
    writeFileSync(path, bytes);
    await pipeline.put(path, key);
  };
  type List = { next?: number; list: { name: string }[] };
  const walk = async (key: string, which: 'snapshots' | 'bitmaps') => {
    const names: string[] = [];
    for (let offset: number | undefined = 0, answers = 0; offset !== undefined; answers += 1) {
      expect(answers).toBeLessThan(20);
      const { body } = await get(`${imagePath(key)}?offset=${offset}`);
      expect(JSON.stringify(JSON.stringify(body)).length).toBeLessThan(LAMBDA_ANSWER);
      const { list, next }: List = (body.unqcow as Record<typeof which, List>)[which];
      names.push(...list.map(({ name }) => name));
      offset = next;
    }
    return names;
  };

  it('gives as many snapshots and bitmaps as fit, and says where each list goes on', async () => {
    await putBytes('long-names', longNames());
    expect(await walk('long-names', 'snapshots')).toEqual(Array.from({ length: SNAPSHOTS }, () => LONG));
    const bitmaps = await walk('long-names', 'bitmaps');
    expect(bitmaps.map((name) => name.slice(1000))).toEqual(Array.from({ length: BITMAPS }, (_, i) => `${i}`));
  });

  it('gives 65,536 snapshots by a thousand', async () => {
    await putBytes(
      'zeros',
      imageBytes({ header: { nbSnapshots: 65_536, snapshotsOffset: 0x7000 }, fileSize: 0x7000 + 65_536 * 40 }),
    );
    const last = await get(`${imagePath('zeros')}?offset=65000`);
    expect(last.body).toMatchObject({ unqcow: { snapshots: { count: 65_536 } } });
    const { snapshots } = last.body as { snapshots: unknown[] };
    expect(snapshots).toHaveLength(536);
    const first = await get(imagePath('zeros'));
    expect(first.body).toMatchObject({ unqcow: { snapshots: { count: 65_536, next: 1000 } } });
  });

  it('cuts a data file’s name, which may be as long as a cluster', async () => {
    const name = '\u0001'.repeat(2 ** 20);
    await putBytes(
      'long-name',
      imageBytes({
        clusterBits: 21,
        size: 2n ** 22n,
        header: { incompatibleFeatures: 4 },
        extensions: [{ type: EXT.dataFile, data: name }],
        data: [],
        l2: [],
      }),
    );
    const { body } = await get(imagePath('long-name'));
    expect(body).toMatchObject({ 'format-specific': { data: { 'data-file': name.slice(0, 4096) } } });
  });
});
