import { CopyObjectCommand, type CopyObjectCommandInput, DeleteObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect } from 'vitest';
import { bytes } from './support/bytes.ts';
import { refusal, statusOf } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { type RawRequest, send } from './support/send.ts';
import { type TestUpload, useS3 } from './support/use-s3.ts';

const READS = 'userguide/conditional-reads';
const WRITES = 'userguide/conditional-writes';
const s3 = useS3();
const HOUR = 3_600_000;
const [past, future] = [new Date(Date.now() - HOUR), new Date(Date.now() + HOUR)];
let etag = '';
let modified = new Date();

beforeAll(async () => {
  etag = (await s3.put('source', bytes(1000))).ETag ?? '';
  modified = (await s3.head('source')).LastModified ?? modified;
});

const raw = (headers: Record<string, string>, method = 'GET') =>
  send(s3.target, { method, path: `/${s3.bucket}/source`, headers });

describe('the time of an object', () => {
  rule('unchanged since is 304 for If-Modified-Since', READS, async () => {
    const { LastModified } = await s3.head('source');
    const since = { 'if-modified-since': LastModified?.toUTCString() ?? '' };
    expect([(await raw(since)).status, (await raw(since, 'HEAD')).status]).toEqual([304, 304]);
    expect((await raw({ 'if-modified-since': past.toUTCString() })).status).toBe(200);
  });

  rule('changed since is PreconditionFailed for If-Unmodified-Since', READS, async () => {
    expect((await raw({ 'if-unmodified-since': past.toUTCString() })).summary).toBe('412 PreconditionFailed');
    expect((await raw({ 'if-unmodified-since': past.toUTCString() }, 'HEAD')).status).toBe(412);
    expect((await raw({ 'if-unmodified-since': future.toUTCString() })).status).toBe(200);
  });

  rule('does not count beside an ETag that was not given before', READS, async () => {
    const headers = { 'if-none-match': '"0"', 'if-modified-since': future.toUTCString() };
    expect((await raw(headers)).status).toBe(200);
  });

  rule('does not count beside an ETag that was given: 304', READS, async () => {
    const headers = { 'if-none-match': etag, 'if-modified-since': past.toUTCString() };
    expect((await raw(headers)).status).toBe(304);
  });

  rule('that is no date is ignored', READS, async () => {
    expect((await raw({ 'if-modified-since': 'yesterday', 'if-unmodified-since': 'tomorrow' })).status).toBe(200);
  });
});

describe('a conditional copy', () => {
  type Conditions = Partial<CopyObjectCommandInput>;
  const copy = (conditions: Conditions, Key = 'target') =>
    s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key, CopySource: `${s3.bucket}/source`, ...conditions }));
  const refused: [name: string, () => Conditions][] = [
    ['copy-source-if-none-match of its ETag', () => ({ CopySourceIfNoneMatch: etag })],
    ['copy-source-if-modified-since of its time', () => ({ CopySourceIfModifiedSince: modified })],
    ['copy-source-if-unmodified-since of an earlier time', () => ({ CopySourceIfUnmodifiedSince: past })],
    [
      'copy-source-if-none-match of its ETag, though modified since',
      () => ({ CopySourceIfNoneMatch: etag, CopySourceIfModifiedSince: past }),
    ],
  ];
  for (const [name, conditions] of refused) {
    rule(`of an object with ${name} is PreconditionFailed`, 'API_CopyObject', async () => {
      expect(await refusal(copy(conditions()))).toBe('412 PreconditionFailed');
    });
  }

  const done: [name: string, () => Conditions][] = [
    ['copy-source-if-none-match of another ETag', () => ({ CopySourceIfNoneMatch: '"0"' })],
    ['copy-source-if-modified-since of an earlier time', () => ({ CopySourceIfModifiedSince: past })],
    ['copy-source-if-unmodified-since of a later time', () => ({ CopySourceIfUnmodifiedSince: future })],
    [
      'copy-source-if-match of its ETag, though modified since',
      () => ({ CopySourceIfMatch: etag, CopySourceIfUnmodifiedSince: past }),
    ],
  ];
  for (const [name, conditions] of done) {
    rule(`of an object with ${name} is done`, 'API_CopyObject', async () => {
      await copy(conditions(), `done-${name.length}`);
      expect((await s3.head(`done-${name.length}`)).ContentLength).toBe(1000);
    });
  }

  rule('of a part looks at its source’s ETag and time too', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('part-target');
    const from = `${s3.bucket}/source`;
    expect(await refusal(upload.copy(1, from, { CopySourceIfNoneMatch: etag }))).toBe('412 PreconditionFailed');
    expect(await refusal(upload.copy(1, from, { CopySourceIfUnmodifiedSince: past }))).toBe('412 PreconditionFailed');
    await upload.copy(1, from, { CopySourceIfModifiedSince: past, CopySourceIfNoneMatch: '"0"' });
    await upload.abort();
  });

  rule('CopyObject with If-None-Match * refuses an existing key', 'API_CopyObject', async () => {
    await s3.put('taken-by-copy', 'first');
    expect(await refusal(copy({ IfNoneMatch: '*' }, 'taken-by-copy'))).toBe('412 PreconditionFailed');
    expect((await s3.get('taken-by-copy')).body.toString()).toBe('first');
    await copy({ IfNoneMatch: '*' }, 'free-for-copy');
  });
});

describe('a conditional delete', () => {
  const remove = (Key: string, IfMatch: string) =>
    s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key, IfMatch }));

  rule(
    'DeleteObject with If-Match of another ETag is PreconditionFailed',
    'userguide/conditional-deletes',
    async () => {
      await s3.put('not-deleted', 'x');
      expect(await refusal(remove('not-deleted', '"0"'))).toBe('412 PreconditionFailed');
      expect((await s3.get('not-deleted')).body.toString()).toBe('x');
    },
  );

  rule('DeleteObject with If-Match of its ETag is done', 'userguide/conditional-deletes', async () => {
    const { ETag = '' } = await s3.put('deleted', 'x');
    await remove('deleted', ETag);
    expect(await statusOf(s3.head('deleted'))).toBe(404);
  });
});

describe('a conditional write, met by a delete', () => {
  const remove = (Key: string) => s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key }));
  const putHalf = (key: string, headers: Record<string, string>, halfway: () => Promise<unknown>) =>
    send(s3.target, { method: 'PUT', path: `/${s3.bucket}/${key}`, headers, body: bytes(1000, 2), halfway });

  rule('PutObject with If-None-Match * is ConditionalRequestConflict', WRITES, async () => {
    await s3.put('met', 'first');
    const answer = await putHalf('met', { 'if-none-match': '*' }, () => remove('met'));
    expect(answer.summary).toBe('409 ConditionalRequestConflict');
    expect(await statusOf(s3.head('met'))).toBe(404);
  });

  rule('Complete with If-None-Match * is ConditionalRequestConflict', WRITES, async () => {
    await s3.put('met-complete', 'first');
    const upload = await s3.upload('met-complete');
    const { ETag = '' } = await upload.part(1, bytes(10));
    const answer = await send(
      s3.target,
      completeRaw(upload, ETag, () => remove('met-complete')),
    );
    expect(answer.summary).toBe('409 ConditionalRequestConflict');
    expect(await statusOf(s3.head('met-complete'))).toBe(404);
    await upload.abort();
  });

  rule('PutObject with If-Match is NoSuchKey', WRITES, async () => {
    const { ETag = '' } = await s3.put('met-match', 'first');
    const answer = await putHalf('met-match', { 'if-match': ETag }, () => remove('met-match'));
    expect(answer.summary).toBe('404 NoSuchKey');
  });

  rule('PutObject without a condition does not mind', WRITES, async () => {
    await s3.put('unconditional', 'first');
    expect((await putHalf('unconditional', {}, () => remove('unconditional'))).status).toBe(200);
    expect((await s3.head('unconditional')).ContentLength).toBe(1000);
  });

  const completeRaw = ({ at }: TestUpload, etag: string, halfway: () => Promise<unknown>): RawRequest => ({
    method: 'POST',
    path: `/${at.Bucket}/${at.Key}`,
    query: { uploadId: at.UploadId },
    headers: { 'if-none-match': '*' },
    body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`,
    halfway,
  });
});

describe('a conditional write', () => {
  rule('Complete with If-Match of the object’s ETag replaces it', WRITES, async () => {
    const { ETag } = await s3.put('matched', 'first');
    const upload = await s3.upload('matched');
    const parts = [await upload.part(1, bytes(10))];
    await upload.complete(parts, { IfMatch: ETag });
    expect((await s3.head('matched')).ContentLength).toBe(10);
  });

  rule('Complete with If-Match of another ETag is PreconditionFailed', WRITES, async () => {
    await s3.put('unmatched', 'first');
    const upload = await s3.upload('unmatched');
    const parts = [await upload.part(1, bytes(10))];
    expect(await refusal(upload.complete(parts, { IfMatch: '"0"' }))).toBe('412 PreconditionFailed');
    expect((await s3.get('unmatched')).body.toString()).toBe('first');
    await upload.abort();
  });

  rule('Complete with If-Match of what is not there is NoSuchKey', WRITES, async () => {
    const upload = await s3.upload('never-there');
    const parts = [await upload.part(1, bytes(10))];
    expect(await refusal(upload.complete(parts, { IfMatch: '"0"' }))).toBe('404 NoSuchKey');
    await upload.abort();
  });
});
