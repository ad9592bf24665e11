import { beforeAll, describe, expect } from 'vitest';
import { bytes } from './support/bytes.ts';
import { refusal, statusOf } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();
const data = bytes(150_000, 5);
let etag = '';

beforeAll(async () => {
  etag = (await s3.put('data', data)).ETag ?? '';
  await s3.put('empty', Buffer.alloc(0));
});

describe('a range', () => {
  const ranges: [text: string, start: number, end: number][] = [
    ['bytes=0-0', 0, 1],
    ['bytes=10-65540', 10, 65_541],
    ['bytes=149999-149999', 149_999, 150_000],
    ['bytes=100000-', 100_000, 150_000],
    ['bytes=-5', 149_995, 150_000],
    ['bytes=140000-999999999', 140_000, 150_000],
    ['bytes=-200000', 0, 150_000],
  ];
  for (const [text, start, end] of ranges) {
    rule(`${text} of 150,000 bytes is 206 with exactly those bytes`, 'API_GetObject', async () => {
      const got = await s3.get('data', { Range: text });
      expect(got.$metadata.httpStatusCode).toBe(206);
      expect(got.ContentRange).toBe(`bytes ${start}-${end - 1}/150000`);
      expect(got.ContentLength).toBe(end - start);
      expect(got.body.equals(data.subarray(start, end))).toBe(true);
    });
  }

  rule('that starts past the end is InvalidRange', 'error InvalidRange', async () => {
    expect(await refusal(s3.get('data', { Range: 'bytes=150000-' }))).toBe('416 InvalidRange');
    expect(await refusal(s3.get('data', { Range: 'bytes=150000-150001' }))).toBe('416 InvalidRange');
  });

  rule('of no bytes at the end is InvalidRange', 'error InvalidRange', async () => {
    expect(await refusal(s3.get('data', { Range: 'bytes=-0' }))).toBe('416 InvalidRange');
  });

  rule('of an empty object is InvalidRange', 'error InvalidRange', async () => {
    expect(await refusal(s3.get('empty', { Range: 'bytes=0-0' }))).toBe('416 InvalidRange');
    expect(await refusal(s3.get('empty', { Range: 'bytes=0-' }))).toBe('416 InvalidRange');
  });

  rule('that is not a byte range is ignored', 'API_GetObject', async () => {
    for (const range of ['lines=1-2', 'bytes=5-1', 'bytes=a-b']) {
      const { status, text } = await send(s3.target, { method: 'GET', path: `/${s3.bucket}/data`, headers: { range } });
      expect([status, text.length > 100_000]).toEqual([200, true]);
    }
  });

  rule('on HEAD is 206 with the length of the range', 'API_HeadObject', async () => {
    const head = await s3.head('data', { Range: 'bytes=5-9' });
    expect([head.$metadata.httpStatusCode, head.ContentLength]).toEqual([206, 5]);
    expect(await statusOf(s3.head('data', { Range: 'bytes=150000-' }))).toBe(416);
  });
});

describe('a conditional read', () => {
  rule('with If-Match of its ETag is answered', 'userguide/conditional-reads', async () => {
    expect((await s3.get('data', { IfMatch: etag })).body.length).toBe(150_000);
    expect((await s3.get('data', { IfMatch: etag, Range: 'bytes=1-3' })).body.length).toBe(3);
  });

  rule('with If-Match of *, or of a list with its ETag, is answered', 'userguide/conditional-reads', async () => {
    expect((await s3.get('data', { IfMatch: `"0", ${etag}` })).body.length).toBe(150_000);
    expect((await s3.get('data', { IfMatch: '*', Range: 'bytes=0-0' })).body.length).toBe(1);
  });

  rule('with If-Match of another ETag is PreconditionFailed', 'userguide/conditional-reads', async () => {
    expect(await refusal(s3.get('data', { IfMatch: '"0"' }))).toBe('412 PreconditionFailed');
    expect(await refusal(s3.get('data', { IfMatch: '"0"', Range: 'bytes=0-9' }))).toBe('412 PreconditionFailed');
    expect(await statusOf(s3.head('data', { IfMatch: '"0"' }))).toBe(412);
  });

  rule('with If-None-Match of its ETag is 304 without a body', 'userguide/conditional-reads', async () => {
    const raw = { method: 'GET', path: `/${s3.bucket}/data`, headers: { 'if-none-match': etag } };
    const { status, text } = await send(s3.target, raw);
    expect([status, text]).toEqual([304, '']);
    expect(await statusOf(s3.head('data', { IfNoneMatch: etag }))).toBe(304);
    expect((await s3.get('data', { IfNoneMatch: '"0"' })).body.length).toBe(150_000);
  });

  rule('that is 304 gives the ETag again', 'userguide/conditional-reads', async () => {
    const raw = { method: 'GET', path: `/${s3.bucket}/data`, headers: { 'if-none-match': etag } };
    expect((await send(s3.target, raw)).headers.etag).toBe(etag);
  });

  rule('with If-Modified-Since and If-Unmodified-Since looks at the time', 'userguide/conditional-reads', async () => {
    const [past, future] = [new Date(Date.now() - 3_600_000), new Date(Date.now() + 3_600_000)];
    expect(await statusOf(s3.get('data', { IfModifiedSince: past }))).toBe(200);
    expect(await refusal(s3.get('data', { IfUnmodifiedSince: past }))).toBe('412 PreconditionFailed');
    expect(await statusOf(s3.get('data', { IfUnmodifiedSince: future }))).toBe(200);
  });

  rule('with a true If-Match overrules a false If-Unmodified-Since', 'userguide/conditional-reads', async () => {
    const past = new Date(Date.now() - 3_600_000);
    expect(await statusOf(s3.get('data', { IfMatch: etag, IfUnmodifiedSince: past }))).toBe(200);
  });

  rule('may replace headers of the answer', 'userguide/conditional-reads', async () => {
    const got = await s3.get('data', { ResponseContentType: 'text/x-other', ResponseContentDisposition: 'attachment' });
    expect(got).toMatchObject({ ContentType: 'text/x-other', ContentDisposition: 'attachment' });
  });
});

describe('a conditional write', () => {
  rule('PutObject with If-None-Match * refuses an existing key', 'userguide/conditional-writes', async () => {
    await s3.put('once', 'first', { IfNoneMatch: '*' });
    expect(await refusal(s3.put('once', 'second', { IfNoneMatch: '*' }))).toBe('412 PreconditionFailed');
    expect((await s3.get('once')).body.toString()).toBe('first');
  });

  rule('PutObject with If-None-Match * lets one of many through', 'userguide/conditional-writes', async () => {
    const puts = Array.from({ length: 8 }, (_, i) => refusal(s3.put('race', `writer ${i}`, { IfNoneMatch: '*' })));
    const results = await Promise.all(puts);
    expect(results.filter((result) => result === 'accepted')).toHaveLength(1);
    expect((await s3.get('race')).body.toString()).toBe(`writer ${results.indexOf('accepted')}`);
  });

  rule('PutObject with If-Match replaces only that version', 'userguide/conditional-writes', async () => {
    const { ETag } = await s3.put('swap', 'one');
    expect(await refusal(s3.put('swap', 'two', { IfMatch: '"0"' }))).toBe('412 PreconditionFailed');
    await s3.put('swap', 'two', { IfMatch: ETag });
    expect((await s3.get('swap')).body.toString()).toBe('two');
  });
});
