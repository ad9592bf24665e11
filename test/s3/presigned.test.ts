import { beforeAll, describe, expect } from 'vitest';
import { bytes } from './support/bytes.ts';
import { checksum } from './support/checksums.ts';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { exchange } from './support/send.ts';
import { type Presigned, presign } from './support/signing.ts';
import { useS3 } from './support/use-s3.ts';

const QUERY = 'API/sigv4-query-string-auth';
const s3 = useS3();
const data = bytes(10_000, 40);
const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000);

/** Uses a presigned URL, perhaps after changing it, perhaps with a body or further headers. */
async function use(
  key: string,
  presigned: Presigned = {},
  { change = (path: string) => path, body = '' as string | Buffer, headers = {} } = {},
) {
  const path = change(await presign(s3.target, `/${s3.bucket}/${key}`, presigned));
  const line = { method: presigned.method ?? 'GET', path, headers: { ...presigned.headers, ...headers } };
  return exchange(s3.target, line, (request) => request.end(body));
}

beforeAll(async () => {
  await s3.put('read', data);
});

describe('a presigned URL', () => {
  rule('reads an object', QUERY, async () => {
    const { status, text } = await use('read');
    expect([status, text.length]).toEqual([200, data.toString().length]);
  });

  rule('reads a range that is not signed', QUERY, async () => {
    const { status, headers } = await use('read', {}, { headers: { range: 'bytes=5-9' } });
    expect([status, headers['content-range']]).toEqual([206, 'bytes 5-9/10000']);
  });

  rule('writes an object', QUERY, async () => {
    expect((await use('written', { method: 'PUT' }, { body: data })).status).toBe(200);
    expect((await s3.get('written')).body.equals(data)).toBe(true);
  });

  rule('reaches keys of all kinds', QUERY, async () => {
    await s3.put('a b+c/ü&=?', 'found');
    expect((await use(encodeURIComponent('a b+c/ü&=?').replaceAll('%2F', '/'))).text).toBe('found');
  });

  rule('may be used until it expires', QUERY, async () => {
    expect((await use('read', { signedAt: minutesAgo(50), expiresIn: 3600 })).status).toBe(200);
  });

  rule('that has expired is AccessDenied', 'error AccessDenied', async () => {
    const answer = await use('read', { signedAt: minutesAgo(61), expiresIn: 3600 });
    expect(answer.summary).toBe('403 AccessDenied');
  });

  rule('that has expired says so', 'userguide/using-presigned-url', async () => {
    const { text } = await use('read', { signedAt: minutesAgo(61), expiresIn: 3600 });
    expect(text).toMatch(/<Message>Request has expired<\/Message>/);
  });

  rule('for another method is SignatureDoesNotMatch', 'error SignatureDoesNotMatch', async () => {
    const path = await presign(s3.target, `/${s3.bucket}/read`);
    expect((await exchange(s3.target, { method: 'DELETE', path })).summary).toBe('403 SignatureDoesNotMatch');
    expect((await s3.get('read')).body.equals(data)).toBe(true);
  });

  rule('with another key is SignatureDoesNotMatch', 'error SignatureDoesNotMatch', async () => {
    const change = (path: string) => path.replace('/read?', '/other?');
    expect((await use('read', {}, { change })).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('with a longer life than signed is SignatureDoesNotMatch', 'error SignatureDoesNotMatch', async () => {
    const change = (path: string) => path.replace('X-Amz-Expires=60', 'X-Amz-Expires=600');
    expect((await use('read', {}, { change })).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('with a parameter that was not signed is SignatureDoesNotMatch', 'error SignatureDoesNotMatch', async () => {
    const change = (path: string) => `${path}&response-content-type=text%2Fhtml`;
    expect((await use('read', {}, { change })).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('with a signature of another secret is SignatureDoesNotMatch', 'error SignatureDoesNotMatch', async () => {
    const credentials = { ...s3.target.credentials, secretAccessKey: 'guessed' };
    const path = await presign({ ...s3.target, credentials }, `/${s3.bucket}/read`);
    expect((await exchange(s3.target, { method: 'GET', path })).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('of an unknown access key is InvalidAccessKeyId', 'error InvalidAccessKeyId', async () => {
    const credentials = { ...s3.target.credentials, accessKeyId: 'SOMEONEELSE' };
    const path = await presign({ ...s3.target, credentials }, `/${s3.bucket}/read`);
    expect((await exchange(s3.target, { method: 'GET', path })).summary).toBe('403 InvalidAccessKeyId');
  });

  rule('without one of its parameters is AuthorizationQueryParametersError', QUERY, async () => {
    for (const name of ['X-Amz-Credential', 'X-Amz-Date', 'X-Amz-Expires', 'X-Amz-SignedHeaders']) {
      const change = (path: string) => path.replace(new RegExp(`&?${name}=[^&]*`), '');
      expect(`${name}: ${(await use('read', {}, { change })).summary}`).toBe(
        `${name}: 400 AuthorizationQueryParametersError`,
      );
    }
  });

  rule('for more than a week is AuthorizationQueryParametersError', QUERY, async () => {
    const change = (path: string) => path.replace('X-Amz-Expires=60', 'X-Amz-Expires=604801');
    expect((await use('read', {}, { change })).summary).toBe('400 AuthorizationQueryParametersError');
  });

  rule('for another region is AuthorizationQueryParametersError', QUERY, async () => {
    const path = await presign({ ...s3.target, region: 'mars-north-1' }, `/${s3.bucket}/read`);
    expect((await exchange(s3.target, { method: 'GET', path })).summary).toBe('400 AuthorizationQueryParametersError');
  });

  rule('beside an Authorization header is InvalidArgument', QUERY, async () => {
    const headers = { authorization: 'AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0' };
    expect((await use('read', {}, { headers })).summary).toBe('400 InvalidArgument');
  });

  rule('needs the headers that were signed', 'error SignatureDoesNotMatch', async () => {
    const signed = { method: 'PUT', headers: { 'content-type': 'text/x-signed' } };
    expect((await use('typed', signed, { body: 'x' })).status).toBe(200);
    expect((await s3.head('typed')).ContentType).toBe('text/x-signed');
    const headers = { 'content-type': 'text/html' };
    expect((await use('typed', signed, { body: 'y', headers })).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('holds what is put with it to a checksum in the query', 'API_PutObject', async () => {
    const query = { 'x-amz-checksum-crc32': await checksum('CRC32', data) };
    expect((await use('pinned', { method: 'PUT', query }, { body: bytes(10_000, 41) })).summary).toBe('400 BadDigest');
    expect(await refusal(s3.get('pinned'))).toBe('404 NoSuchKey');
    expect((await use('pinned', { method: 'PUT', query }, { body: data })).status).toBe(200);
  });
});
