import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import type { MapEntry } from '../../lib/format/map.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import type { RecipeName } from '../recipes.ts';
import { COPIED, imageBytes } from '../support/hostile.ts';
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

describe('GET /maps/{bucket}/{key+} of a chain as OpenStack and libvirt make it', () => {
  // Absolute names and no stated formats. What is in them means something to queries, and to lists with commas.
  const [MIDDLE, BASE] = ['/var/lib/nova/_base/0a,1b', '/srv/a&b %2F+ü'];
  const file = (name: string) => join(qemu.folder, `chain-${name}`);
  beforeAll(async () => {
    const images = {
      overlay: imageBytes({ backing: MIDDLE }),
      middle: imageBytes({ backing: BASE, l2: [0n, 0n, COPIED | 0x5000n], data: [Buffer.alloc(4096, 2)] }),
      base: Buffer.alloc(32_768, 3),
    };
    for (const [name, bytes] of Object.entries(images)) {
      writeFileSync(file(name), bytes);
      await pipeline.put(file(name), `chain/${name},1`);
    }
  });

  type Said = [name: string, value: string];
  const at = (name: string) => `s3://${pipeline.stack.buckets.images}/chain/${name},1`;
  const asked = (...said: Said[]) => mapPath('chain/overlay,1', `?${new URLSearchParams(said)}`);
  const place = (name: string, where: string): Said => ['place', `${name}=${where}`];
  const places = () => [place(MIDDLE, at('middle')), place(BASE, at('base'))];
  const formats: Said[] = [
    ['backingFormat', 'qcow2'],
    ['backingFormat', `${BASE}=raw`],
  ];

  it('says page by page what qemu-img map says, once it is told where each file lies and what it is', async () => {
    const answers = await pages(asked(...places(), ...formats, ['limit', '1']));
    const middle = ['backing.driver=qcow2', `backing.file.filename=${file('middle')}`];
    const base = ['backing.backing.driver=raw', `backing.backing.file.filename=${file('base')}`];
    const chain = ['driver=qcow2', `file.filename=${file('overlay')}`, ...middle, ...base].join(',');
    const expected = execFileSync('qemu-img', ['map', '--output=json', '--image-opts', chain], { encoding: 'utf8' });
    expect(answers.flatMap(({ body }) => body.map).map(asQemu)).toEqual(JSON.parse(expected));
    expect(answers.length).toBeGreaterThan(3);
  });

  it('opens nothing at names that it is not told of, and guesses no format', async () => {
    const denied = { status: 403, body: { code: 'EXTERNAL_REF_DENIED' } };
    expect(await ask(pipeline, asked(...formats))).toMatchObject(denied);
    expect(await ask(pipeline, asked(...places().slice(0, 1), ...formats))).toMatchObject(denied);
    const unstated = { status: 422, body: { code: 'BACKING_FORMAT_REQUIRED' } };
    expect(await ask(pipeline, asked(...places()))).toMatchObject(unstated);
  });

  it('opens no place that the caller may not read, and does not ask the store about it', async () => {
    const elsewhere = place(MIDDLE, `s3://${pipeline.stack.buckets.raw}/middle`);
    expect(await ask(pipeline, asked(elsewhere, ...formats))).toMatchObject({
      status: 403,
      body: { code: 'NOT_ALLOWED' },
      requests: 0,
    });
  });

  it.each([
    ['place', 'base'],
    ['place', '=s3://images/base'],
    ['place', 'base=/etc/passwd'],
    ['place', 'base=file:///etc/passwd'],
    ['backingFormat', 'vmdk'],
    ['backingFormat', 'base='],
  ])('refuses what is none: %s=%s, also among others', async (name, value) => {
    for (const others of [[], [...places(), ...formats]]) {
      const answer = await ask(pipeline, asked(...others, [name, value]));
      expect(answer).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' }, requests: 0 });
      expect(answer.body.at).toMatch(new RegExp(`^queryStringParameters\\.${name}\\.`));
    }
  });

  it('refuses a parameter twice that is taken once', async () => {
    const answer = await ask(pipeline, asked(['limit', '1'], ['limit', '2']));
    expect(answer).toMatchObject({ status: 400, body: { at: 'queryStringParameters.limit' }, requests: 0 });
  });

  it('refuses more words than a cursor has room for, rather than to break off after a page', async () => {
    const many = Array.from({ length: 60 }, (_, i) => place(`${'n'.repeat(60)}${i}`, at('base')));
    const answer = await ask(pipeline, asked(...places(), ...many, ...formats, ['limit', '1']));
    expect(answer).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' } });
  });
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
