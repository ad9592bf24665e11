import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import type { MapEntry } from '../../lib/format/map.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import type { RecipeName } from '../recipes.ts';
import { useQemu } from '../support/use-qemu.ts';
import { type Answer, API, ask } from './ask.ts';

const pipeline = usePipeline();
const qemu = useQemu();

const mapPath = (key: string, query = '') => `/maps/${pipeline.stack.buckets.images}/${key}${query}`;
const linkOf = ({ headers }: Answer) => /<(.*)>; rel="next"/.exec(headers.get('link') ?? '')?.[1];

/** All pages, by the links that each gives. */
async function pages(path: string): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let next: string | undefined = path; next !== undefined; next = linkOf(answers.at(-1) as Answer)) {
    const answer = await ask(pipeline, next);
    expect(answer.status).toBe(200);
    answers.push(answer);
  }
  return answers;
}

/** What QEMU 7.2 says of an entry: not whether it is compressed. */
const asQemu = ({ compressed: _, ...entry }: MapEntry) => entry;

function image(name: string, ...args: string[]): string {
  const path = join(qemu.folder, name);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...args.slice(0, -1), path, args.at(-1) as string]);
  return path;
}

describe('GET /maps/{bucket}/{key+}', () => {
  it.each<RecipeName>(['clusters-512', 'clusters-64k', 'v2-zero', 'compressed-among-plain'])(
    'says of %s page by page what qemu-img map says',
    async (name) => {
      const path = await qemu.image(name);
      await pipeline.put(path, name);
      const expected = await qemu.map(path);
      for (const limit of [1, 3, 10_000]) {
        const answers = await pages(mapPath(name, `?limit=${limit}`));
        expect(answers.flatMap(({ body }) => body.map).map(asQemu)).toEqual(expected);
        for (const { body } of answers.slice(0, -1)) expect(body.map).toHaveLength(limit);
      }
    },
  );

  it('begins where it is asked to, and goes on from there', async () => {
    const path = await qemu.image('clusters-64k');
    await pipeline.put(path, 'from');
    const size = (await qemu.info(path))['virtual-size'] as number;
    const whole = await qemu.map(path);
    for (const from of [0, 65_536, 1 << 20, (1 << 20) + 512, size - 512]) {
      const answers = await pages(mapPath('from', `?from=${from}&limit=2`));
      const expected = whole.flatMap(({ start, length, offset, ...entry }) => {
        const before = Math.max(0, from - start);
        if (before >= length) return [];
        const at = offset === undefined ? {} : { offset: offset + before };
        return { ...entry, start: start + before, length: length - before, ...at };
      });
      expect(answers.flatMap(({ body }) => body.map).map(asQemu)).toEqual(expected);
    }
    expect(await ask(pipeline, mapPath('from', `?from=${size + 1}`))).toMatchObject({
      status: 400,
      body: { code: 'BAD_REQUEST', at: 'from' },
    });
  });

  // API Gateway decodes a request's path; serverless-offline does not.
  it.skipIf(API.endpoint)('links to the next page of a key of any characters', async () => {
    const path = await qemu.image('clusters-64k');
    // No suffix of an upload: its conversion would ask the store while the next test counts.
    const key = 'a folder/#1?+%25 ü.img';
    await pipeline.put(path, key);
    const answers = await pages(mapPath(key.split('/').map(encodeURIComponent).join('/'), '?limit=1'));
    expect(answers.flatMap(({ body }) => body.map).map(asQemu)).toEqual(await qemu.map(path));
  });

  it('costs two GETs and what the tables need', async () => {
    await pipeline.put(image('one-table', '100M'), 'one-table');
    const { requests, body } = await ask(pipeline, mapPath('one-table'));
    expect({ requests, entries: body.map.length }).toEqual({ requests: 2, entries: 1 });
  });

  it('goes on only as long as the object is the same: SOURCE_CHANGED', async () => {
    const path = image('changing', '10M');
    execFileSync('qemu-io', ['-c', 'write 1M 64k', path]);
    await pipeline.put(path, 'changing');
    const first = await ask(pipeline, mapPath('changing', '?limit=1'));
    const next = linkOf(first) as string;
    expect(await ask(pipeline, next)).toMatchObject({ status: 200 });
    execFileSync('qemu-io', ['-c', 'write 2M 64k', path]);
    await pipeline.put(path, 'changing');
    expect(await ask(pipeline, next)).toMatchObject({ status: 409, body: { code: 'SOURCE_CHANGED' } });
    await pipeline.client.send(new DeleteObjectCommand({ Bucket: pipeline.stack.buckets.images, Key: 'changing' }));
    expect(await ask(pipeline, next)).toMatchObject({ status: 409, body: { code: 'SOURCE_CHANGED' } });
  });

  it('follows a backing file only where the caller allows it, and only as long as that is the same', async () => {
    const base = image('base.img', '4M');
    execFileSync('qemu-io', ['-c', 'write -P 1 1M 1M', base]);
    const overlay = image('overlay', '-b', 'base.img', '-F', 'qcow2', '4M');
    execFileSync('qemu-io', ['-c', 'write -P 2 1088k 64k', overlay]);
    await pipeline.put(base, 'base.img');
    await pipeline.put(overlay, 'overlay');
    expect(await ask(pipeline, mapPath('overlay'))).toMatchObject({
      status: 403,
      body: { code: 'EXTERNAL_REF_DENIED' },
    });
    const allowed = `?limit=1&allow=${encodeURIComponent(`s3://${pipeline.stack.buckets.images}/`)}`;
    const answers = await pages(mapPath('overlay', allowed));
    expect(answers.flatMap(({ body }) => body.map).map(asQemu)).toEqual(await qemu.map(overlay));
    execFileSync('qemu-io', ['-c', 'write -P 3 2M 1M', base]);
    await pipeline.put(base, 'base.img');
    const next = linkOf(answers[0] as Answer) as string;
    expect(await ask(pipeline, next)).toMatchObject({ status: 409, body: { code: 'SOURCE_CHANGED' } });
    const elsewhere = `?allow=${encodeURIComponent('s3://somewhere-else/')}`;
    expect(await ask(pipeline, mapPath('overlay', elsewhere))).toMatchObject({
      status: 403,
      body: { code: 'NOT_ALLOWED' },
      requests: 0,
    });
  });

  it('takes a snapshot by its name, on all pages', async () => {
    const path = image('with-snapshot', '4M');
    execFileSync('qemu-io', ['-c', 'write 1M 64k', path]);
    execFileSync('qemu-img', ['snapshot', '-c', 'before', path]);
    const before = await qemu.map(path);
    execFileSync('qemu-io', ['-c', 'write 2M 64k', path]);
    await pipeline.put(path, 'with-snapshot');
    const answers = await pages(mapPath('with-snapshot', '?snapshot=before&limit=1'));
    expect(answers.flatMap(({ body }) => body.map).map(asQemu)).toEqual(before);
    expect(await ask(pipeline, mapPath('with-snapshot', '?snapshot=none'))).toMatchObject({
      status: 404,
      body: { code: 'SNAPSHOT_NOT_FOUND' },
    });
  });

  it.each(['%21%21', 'e30', Buffer.from('{"from":-1}').toString('base64url'), 'a'.repeat(9000)])(
    'refuses a cursor that is none of ours: %.20s',
    async (cursor) => {
      const answer = await ask(pipeline, mapPath('any', `?cursor=${cursor}`));
      expect(answer).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' }, requests: 0 });
      expect(answer.body.at).toContain('cursor');
    },
  );
});

describe('GET /objects/{bucket}', () => {
  it('lists what lies under a prefix, page by page, and marks what looks like an image', async () => {
    const path = await qemu.image('clusters-64k');
    const keys = ['vms/a.qcow2', 'vms/b.QCOW', 'vms/c+ä.txt', 'vms/d//e', 'vmsx'];
    // What looks like an image is converted when it is put there, which asks the store as well: until that has ended.
    for (const key of keys) await (/\.qcow2?$/i.test(key) ? pipeline.upload : pipeline.put)(path, key);
    const list = `/objects/${pipeline.stack.buckets.images}?prefix=vms/&limit=`;
    const answers = await pages(`${list}2`);
    const listed = answers.flatMap(({ body }) => body.objects) as { key: string; looksLikeImage: boolean }[];
    expect(listed.map(({ key }) => key)).toEqual(keys.slice(0, 4));
    expect(listed.map(({ looksLikeImage }) => looksLikeImage)).toEqual([true, true, false, false]);
    expect(answers.map(({ requests }) => requests)).toEqual([1, 1]);
    expect(await ask(pipeline, `${list}4`)).toMatchObject({ body: { objects: listed } });
  });

  it('sums up what lies deeper, page by page, each once', async () => {
    const path = await qemu.image('clusters-64k');
    // A key that is a folder's name, and folders whose names begin alike.
    const keys = ['tree/', 'tree/a', 'tree/a/1', 'tree/a/2', 'tree/a/3', 'tree/a!', 'tree/b/ü', 'tree/ü/x/y', 'tree/z'];
    for (const key of keys) await pipeline.put(path, key);
    for (const limit of [1, 2, 3, 1000]) {
      const answers = await pages(`/objects/${pipeline.stack.buckets.images}?prefix=tree/&delimiter=/&limit=${limit}`);
      expect(answers.flatMap(({ body }) => body.prefixes)).toEqual(['tree/a/', 'tree/b/', 'tree/ü/']);
      const found = answers.flatMap(({ body }) => body.objects) as { key: string }[];
      expect(found.map(({ key }) => key)).toEqual(['tree/', 'tree/a', 'tree/a!', 'tree/z']);
      expect(answers.every(({ requests }) => requests === 1)).toBe(true);
    }
  });

  it('answers of a bucket that is not allowed as of one that is not there, without asking the store', async () => {
    expect(await ask(pipeline, `/objects/${pipeline.stack.buckets.raw}?prefix=a`)).toMatchObject({
      status: 404,
      body: { code: 'SOURCE_NOT_FOUND', detail: `there is no s3://${pipeline.stack.buckets.raw}/a` },
      requests: 0,
    });
  });
});
