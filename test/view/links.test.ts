import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { ClientRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Counts } from '../../functions/_shared/metrics.ts';
import { ask, post } from '../http/ask.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { useQemu } from '../support/use-qemu.ts';

const run = promisify(execFile);
const secrets = await mkdtemp(join(tmpdir(), 'unqcow-secrets-'));
const logged: string[] = [];
const write = (message: unknown, ...extra: unknown[]) => void logged.push(JSON.stringify([message, ...extra]));
const emitted: { readonly counts: Counts; readonly requestId: string | undefined }[] = [];
const pipeline = usePipeline({
  secrets: { dir: secrets },
  log: { info: write, warn: write, error: write },
  emit: (counts, { requestId }) => void emitted.push({ counts, requestId }),
});
const qemu = useQemu();
let image: string;
let raw: Buffer;
beforeAll(async () => {
  image = await qemu.image('compressed-among-plain');
  raw = await readFile(await qemu.raw(image));
  await pipeline.put(image, 'disk one.img');
  await pipeline.put(await qemu.image('snapshot'), 'snapshot.img');
  await pipeline.put(await qemu.image('second-l2-table'), 'large.img');
});
afterAll(() => rm(secrets, { recursive: true }));

const source = (key: string) => ({ bucket: pipeline.stack.buckets.images, key });
async function linkTo(key: string, more: object = {}): Promise<string> {
  const { status, body } = await ask(pipeline, '/views', post({ source: source(key), ...more }));
  expect(status).toBe(201);
  return body.url;
}
const SOON = { timeout: 30_000 };
/** Requests that the store served so far. */
const served = () => Object.values(pipeline.stack.s3?.metrics().requests ?? {}).reduce((sum, each) => sum + each, 0);
/** What the log says of one request, by the messages of its lines. */
const linesOf = (requestId: string | null) =>
  Object.fromEntries(
    logged
      .map((line) => JSON.parse(line) as [string, Record<string, unknown>])
      .filter(([, extra]) => extra.requestId === requestId),
  );
const problemOf = async (answer: Response) => [answer.status, ((await answer.json()) as { code: string }).code];
const withToken = (url: string, change: (token: string) => string) => {
  const changed = new URL(url);
  changed.searchParams.set('token', change(changed.searchParams.get('token') ?? ''));
  return changed;
};

describe('a link to a raw disk', () => {
  it('lets qemu-img compare it with the image itself, over HTTP', async () => {
    const url = await linkTo('disk one.img');
    const { stdout } = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', url, image]);
    expect(stdout).toContain('Images are identical.');
  });

  it('gives ranges, with what they cost: the second time only what was not read before', async () => {
    const url = await linkTo('disk one.img');
    const cost = async (range: string, start: number, end: number) => {
      const before = served();
      const part = await fetch(url, { headers: { range } });
      expect(part.status).toBe(206);
      expect(raw.subarray(start, end).equals(Buffer.from(await part.arrayBuffer()))).toBe(true);
      return served() - before;
    };
    const first = await cost('bytes=0-65535', 0, 65_536);
    const again = await cost('bytes=100-199', 100, 200);
    expect(first).toBeLessThanOrEqual(5);
    expect(again).toBe(0);
  });

  it('keeps to HEAD, If-Range and If-None-Match', async () => {
    const url = await linkTo('disk one.img');
    const head = await fetch(url, { method: 'HEAD' });
    expect(head.headers.get('content-length')).toBe(String(raw.length));
    const etag = head.headers.get('etag') as string;
    expect((await fetch(url, { headers: { 'if-none-match': etag } })).status).toBe(304);
    expect((await fetch(url, { headers: { range: 'bytes=0-9', 'if-range': '"other"' } })).status).toBe(200);
    expect((await fetch(url, { headers: { range: `bytes=${raw.length}-` } })).status).toBe(416);
  });

  it('is for one snapshot, if one was asked for', async () => {
    const path = await qemu.image('snapshot');
    const [{ name }] = ((await qemu.info(path)) as { snapshots: [{ name: string }] }).snapshots;
    const url = await linkTo('snapshot.img', { snapshot: name });
    const expected = await readFile(await qemu.raw(await qemu.reverted(path, name)));
    expect(expected.equals(Buffer.from(await (await fetch(url)).arrayBuffer()))).toBe(true);
  });

  it('gives of a disk that is too long for one answer only ranges', async () => {
    const url = await linkTo('large.img');
    expect(await problemOf(await fetch(url))).toEqual([413, 'RANGE_REQUIRED']);
    const rest = await fetch(url, { headers: { range: 'bytes=512-' } });
    expect(rest.headers.get('content-range')).toBe(`bytes 512-${512 + 128 * 2 ** 20 - 1}/${600 * 2 ** 20}`);
    await rest.body?.cancel();
  });

  it('ends with its time', async () => {
    const url = await linkTo('disk one.img', { seconds: 1 });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await problemOf(await fetch(url))).toEqual([410, 'LINK_EXPIRED']);
  });

  it('ends with the image that it was made for', async () => {
    await pipeline.put(image, 'replaced.img');
    const url = await linkTo('replaced.img');
    await pipeline.put(await qemu.image('empty'), 'replaced.img');
    expect(await problemOf(await fetch(url))).toEqual([409, 'SOURCE_CHANGED']);
  });

  it.each([
    ['a changed payload', (url: string) => withToken(url, (token) => token.replace(/^../, 'eA'))],
    ['another’s signature', (url: string) => withToken(url, (token) => `${token.slice(0, -4)}AAAA`)],
    ['no signature', (url: string) => withToken(url, (token) => token.split('.')[0] as string)],
    ['more than a signature', (url: string) => withToken(url, (token) => `${token}.x`)],
    ['no token', (url: string) => withToken(url, () => '')],
  ])('with %s is LINK_INVALID, and asks the store nothing', async (_, change) => {
    const url = await linkTo('disk one.img');
    const before = JSON.stringify(pipeline.stack.s3?.metrics().requests);
    expect(await problemOf(await fetch(change(url)))).toEqual([403, 'LINK_INVALID']);
    expect(JSON.stringify(pipeline.stack.s3?.metrics().requests)).toBe(before);
  });

  it.each([
    'a folder/../b?c%41#d.img',
    '../../up.img',
    '..',
    'one//two/./three.img',
    '%2e%2e/%41.img',
    'über + all.img',
  ])('is for any key, whatever clients make of its path: %s', async (key) => {
    await pipeline.put(image, key);
    const url = await linkTo(key);
    const elsewhere = new URL(url);
    elsewhere.pathname = '/disks/of/another/name';
    for (const each of [url, elsewhere]) {
      const part = await fetch(each, { headers: { range: 'bytes=0-511' } });
      expect([part.status, Buffer.from(await part.arrayBuffer()).equals(raw.subarray(0, 512))]).toEqual([206, true]);
    }
  });

  it('says to every request whose the bucket has to be, and that we pay, if that was said', async () => {
    const { bucket, key } = source('terms.img');
    await pipeline.put(image, key);
    const seen: (readonly unknown[])[] = [];
    const look = (message: unknown) => {
      const { request } = message as { readonly request: ClientRequest };
      const terms = ['x-amz-expected-bucket-owner', 'x-amz-request-payer'].map((name) => request.getHeader(name));
      if (request.path.startsWith(`/${bucket}/${key}`)) seen.push(terms);
    };
    subscribe('http.client.request.start', look);
    const terms = { owner: '000000000000', requestPayer: true };
    const whole = await fetch(await linkTo(key, { source: { bucket, key, ...terms } }));
    expect(raw.equals(Buffer.from(await whole.arrayBuffer()))).toBe(true);
    unsubscribe('http.client.request.start', look);
    expect(seen.length).toBeGreaterThan(2);
    expect(seen).toEqual(seen.map(() => [terms.owner, 'requester']));
  });

  it('stays good when the secret is rotated, and so is one that is made then', async () => {
    const before = await linkTo('disk one.img');
    expect((await fetch(before, { method: 'HEAD' })).status).toBe(200);
    await writeFile(join(secrets, 'unqcow/sealing'), randomBytes(48).toString('base64'));
    for (const url of [await linkTo('disk one.img'), before])
      expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
  });

  it('that was made up costs hardly a read of the secret, however many there are', async () => {
    const url = await linkTo('disk one.img');
    const reads = () => pipeline.stack.secrets?.reads.get('unqcow/sealing') ?? 0;
    const madeUp = (changes: object, mac = randomBytes(32).toString('base64url')) =>
      withToken(url, (token) => {
        const grant = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString());
        return `${Buffer.from(JSON.stringify({ ...grant, ...changes })).toString('base64url')}.${mac}`;
      });
    const before = reads();
    expect(await problemOf(await fetch(madeUp({ secret: randomUUID(), expires: 1 })))).toEqual([410, 'LINK_EXPIRED']);
    for (const shapeless of [madeUp({ secret: 'v' }), madeUp({ secret: randomUUID() }, 'AAAA')])
      expect(await problemOf(await fetch(shapeless))).toEqual([403, 'LINK_INVALID']);
    expect(reads()).toBe(before);
    const answers = new Set<string>();
    for (let i = 0; i < 20; i += 1)
      answers.add((await problemOf(await fetch(madeUp({ secret: randomUUID() })))).join(' '));
    expect([...answers].toSorted()).toEqual(['403 LINK_INVALID', '429 TOO_MANY_REQUESTS']);
    // A machine so slow that the pause passes meanwhile looks for one more.
    expect(reads() - before).toBeLessThanOrEqual(6);
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
  });

  it('has no room for more words than a URL has', async () => {
    const allow = Array.from({ length: 90 }, (_, i) => `s3://${pipeline.stack.buckets.images}/${'x'.repeat(80)}${i}/`);
    const gate = { allow, places: {}, backingFormats: {} };
    const answer = await ask(pipeline, '/views', post({ source: source('disk one.img'), gate }));
    expect(answer).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' } });
  });

  it('takes no other method, and leads nowhere else', async () => {
    const url = await linkTo('disk one.img');
    expect(await problemOf(await fetch(url, { method: 'DELETE' }))).toEqual([405, 'METHOD_NOT_ALLOWED']);
    expect(await problemOf(await fetch(new URL('/other', url)))).toEqual([404, 'NO_SUCH_ROUTE']);
  });

  it('is logged and counted to its last byte, with all that it has cost', async () => {
    await pipeline.put(image, 'counted.img');
    const url = await linkTo('counted.img');
    const before = served();
    const whole = await fetch(url);
    expect((await whole.arrayBuffer()).byteLength).toBe(raw.length);
    const id = whole.headers.get('x-request-id');
    await expect.poll(() => linesOf(id), SOON).toHaveProperty('answered');
    const requests = served() - before;
    expect(requests).toBeGreaterThan(2);
    const { answered } = linesOf(id);
    expect(answered).toMatchObject({ status: 200, requests, retries: 0, milliseconds: expect.any(Number) });
    expect(emitted.filter(({ requestId }) => requestId === id)).toMatchObject([{ counts: { S3Requests: requests } }]);
  });

  it('is logged, too, where its reader goes away', async () => {
    const url = await linkTo('large.img');
    const stop = new AbortController();
    const rest = await fetch(url, { headers: { range: 'bytes=512-' }, signal: stop.signal });
    stop.abort();
    await expect.poll(() => linesOf(rest.headers.get('x-request-id')), SOON).toHaveProperty('answered.status', 206);
  });

  it('breaks off where its image is replaced while it is read, and the log says why', async () => {
    await pipeline.put(await qemu.image('second-l2-table'), 'broken.img');
    const url = await linkTo('broken.img');
    await (await fetch(url, { headers: { range: 'bytes=0-511' } })).arrayBuffer();
    await pipeline.put(await qemu.image('empty'), 'broken.img');
    const before = logged.length;
    const range = `bytes=${512 * 2 ** 20}-${513 * 2 ** 20}`;
    await expect(fetch(url, { headers: { range } }).then((part) => part.arrayBuffer())).rejects.toThrow();
    await expect.poll(() => logged.slice(before).join(), SOON).toMatch(/"refused".*"SOURCE_CHANGED".*"answered"/);
  });

  it('is not in the log', async () => {
    const url = new URL(await linkTo('disk one.img'));
    await (await fetch(url, { headers: { range: 'bytes=0-0' } })).arrayBuffer();
    const [, signature = ''] = (url.searchParams.get('token') ?? '').split('.');
    expect(logged.join('\n')).toContain('/disks/');
    expect(logged.join('\n')).not.toContain(signature);
  });
});

describe('POST /views', () => {
  it('refuses what may not be read as what is not there, and what is no image', async () => {
    const { body } = await ask(pipeline, '/views', post({ source: { bucket: 'somewhere-else', key: 'disk' } }));
    expect(body).toMatchObject({ status: 404, code: 'SOURCE_NOT_FOUND' });
    await pipeline.put(await qemu.imageOf(Buffer.alloc(1000)), 'nothing');
    expect((await ask(pipeline, '/views', post({ source: source('nothing') }))).body.code).toBe('NOT_QCOW');
  });

  it.each([0, 43_201, 1.5, '60'])('takes no %j seconds', async (seconds) => {
    const { status } = await ask(pipeline, '/views', post({ source: source('disk one.img'), seconds }));
    expect(status).toBe(400);
  });
});
