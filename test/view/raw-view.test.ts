import { describe, expect, it } from 'vitest';
import { assemble } from '../../lib/chunk/assemble.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { answerRaw, rawDiskOf } from '../../lib/jobs/raw-view.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { imageBytes } from '../support/hostile.ts';
import { openBytes } from '../support/images.ts';

const DISK = { size: 1000, etag: '"abc"' };
const get = (headers: Omit<Parameters<typeof answerRaw>[0], 'method'> = {}, method = 'GET') =>
  answerRaw({ method, ...headers }, DISK);

describe('a raw disk as an HTTP resource', () => {
  it('is given whole, and says that it has ranges', () => {
    const { status, headers, body } = get();
    expect({ status, body }).toEqual({ status: 200, body: { start: 0, end: 1000 } });
    expect(headers).toMatchObject({ 'Accept-Ranges': 'bytes', 'Content-Length': '1000', ETag: '"abc"' });
  });

  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=10-19', 10, 20],
    ['bytes=990-', 990, 1000],
    ['bytes=990-5000', 990, 1000],
    ['bytes=-10', 990, 1000],
    ['bytes=-5000', 0, 1000],
  ])('has the range %s', (range, start, end) => {
    const { status, headers, body } = get({ range });
    expect({ status, body }).toEqual({ status: 206, body: { start, end } });
    expect(headers['Content-Range']).toBe(`bytes ${start}-${end - 1}/1000`);
    expect(headers['Content-Length']).toBe(String(end - start));
  });

  it.each(['bytes=1000-', 'bytes=5000-6000', 'bytes=-0'])('has nothing of %s: 416', (range) => {
    const { status, headers, body } = get({ range });
    expect({ status, body }).toEqual({ status: 416, body: undefined });
    expect(headers['Content-Range']).toBe('bytes */1000');
  });

  it.each(['lines=1-2', 'bytes=a-b', 'nonsense', 'bytes=-', 'bytes=9-3', 'bytes=0-1,5-6'])(
    'is given whole for %s',
    (range) => {
      expect(get({ range }).status).toBe(200);
    },
  );

  it('tells a HEAD all and gives it no body', () => {
    const { body, ...told } = get({ range: 'bytes=10-19' }, 'HEAD');
    expect(told).toEqual({ status: 206, headers: get({ range: 'bytes=10-19' }).headers });
    expect(body).toBeUndefined();
  });

  it('keeps to conditions on its ETag', () => {
    expect(get({ range: 'bytes=0-9', ifRange: '"abc"' }).status).toBe(206);
    expect(get({ range: 'bytes=0-9', ifRange: '"old"' }).status).toBe(200);
    expect(get({ range: 'bytes=0-9', ifRange: 'W/"abc"' }).status).toBe(200);
    expect(get({ ifMatch: '"x", "abc"' }).status).toBe(200);
    expect(get({ ifMatch: '"x"' }).status).toBe(412);
    expect(get({ ifNoneMatch: '"abc"' }).status).toBe(304);
    expect(get({ ifNoneMatch: '"x"' }).status).toBe(200);
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH'])('cannot be written to: %s is 405', (method) => {
    expect(get({}, method)).toMatchObject({ status: 405, headers: { Allow: 'GET, HEAD' } });
  });

  it('that is empty has no ranges', () => {
    const empty = { size: 0, etag: '"e"' };
    expect(answerRaw({ method: 'GET' }, empty)).toMatchObject({ status: 200, body: { start: 0, end: 0 } });
    expect(answerRaw({ method: 'GET', range: 'bytes=0-0' }, empty).status).toBe(416);
  });

  it('has another ETag for other bytes and for another snapshot, and the same for the same', () => {
    const layer = (bytes: string) => {
      const source = memorySource(Buffer.from(bytes));
      return { source, data: source, map: { geometry: { version: 'raw' as const, diskSize: source.size } } };
    };
    const disk = { size: 1, layers: [layer('a')] };
    const etag = rawDiskOf(disk).etag;
    expect(etag).toMatch(/^"[\w-]{32}"$/);
    expect(rawDiskOf(disk).etag).toBe(etag);
    expect(rawDiskOf(disk, 'snap').etag).not.toBe(etag);
    expect(rawDiskOf({ size: 1, layers: [layer('a'), layer('b')] }).etag).not.toBe(etag);
  });

  it('has another ETag where the caller says that its backing file has another format', async () => {
    const base = { ...openBytes(imageBytes()), id: 'base' };
    const overlay = { ...openBytes(imageBytes({ backing: 'base', l2: [], data: [] })), id: 'overlay' };
    const served = async (format: string) => {
      const gate = { allow: ['.'], places: {}, backingFormats: { base: format } };
      const disk = await openDisk(overlay, { kind: 'file', path: 'disk' }, { gate, open: async () => base });
      return { etag: rawDiskOf(disk).etag, bytes: await assemble(disk, { start: 0, end: disk.size }) };
    };
    const [raw, qcow2] = [await served('raw'), await served('qcow2')];
    expect(Buffer.compare(raw.bytes, qcow2.bytes)).not.toBe(0);
    expect(raw.etag).not.toBe(qcow2.etag);
    expect((await served('raw')).etag).toBe(raw.etag);
  });
});
