import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { CopyObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect } from 'vitest';
import { bytes, crc32Base64, MIN_PART, sha256 } from './support/bytes.ts';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();
const data = bytes(100_000, 20);
const other = bytes(100_000, 21);
const large = bytes(MIN_PART + 12_345, 22);
const sha1 = (body: Buffer) => createHash('sha1').update(body).digest('base64');
const md5 = (body: Buffer) => createHash('md5').update(body).digest('base64');

const FULL = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;
const COMPOSITE = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'COMPOSITE' } as const;

describe('PutObject', () => {
  rule('with the right CRC32, SHA-1, SHA-256 or MD5 is accepted', async () => {
    await s3.put('right', data, { ChecksumCRC32: crc32Base64(data) });
    await s3.put('right', data, { ChecksumSHA1: sha1(data) });
    await s3.put('right', data, { ChecksumSHA256: sha256(data) });
    await s3.put('right', data, { ContentMD5: md5(data) });
    expect((await s3.get('right')).body.equals(data)).toBe(true);
  });

  const wrong = {
    CRC32: { ChecksumCRC32: crc32Base64(other) },
    'SHA-1': { ChecksumSHA1: sha1(other) },
    'SHA-256': { ChecksumSHA256: sha256(other) },
  };
  for (const [name, checksum] of Object.entries(wrong)) {
    rule(`with a wrong ${name} is BadDigest, and leaves nothing`, async () => {
      expect(await refusal(s3.put(`wrong-${name}`, data, checksum))).toBe('400 BadDigest');
      expect(await refusal(s3.get(`wrong-${name}`))).toBe('404 NoSuchKey');
    });
  }

  rule('with a wrong Content-MD5 is BadDigest, and leaves what was there', async () => {
    await s3.put('wrong-md5', data);
    expect(await refusal(s3.put('wrong-md5', data, { ContentMD5: md5(other) }))).toBe('400 BadDigest');
    expect((await s3.get('wrong-md5')).body.equals(data)).toBe(true);
  });

  rule('with a malformed CRC32 is InvalidRequest', async () => {
    expect(await refusal(s3.put('malformed', data, { ChecksumCRC32: 'AAAA' }))).toBe('400 InvalidRequest');
    expect(await refusal(s3.put('malformed', data, { ChecksumCRC32: 'not base64' }))).toBe('400 InvalidRequest');
  });

  rule('with a malformed Content-MD5 is InvalidDigest', async () => {
    expect(await refusal(s3.put('malformed', data, { ContentMD5: 'AAAA' }))).toBe('400 InvalidDigest');
  });

  rule('with two checksums is InvalidRequest', async () => {
    const both = { ChecksumCRC32: crc32Base64(data), ChecksumSHA256: sha256(data) };
    expect(await refusal(s3.put('two', data, both))).toBe('400 InvalidRequest');
  });
});

describe('an object’s checksum', () => {
  rule('comes back on GET and HEAD when asked for, with its type', async () => {
    await s3.put('kept', data, { ChecksumCRC32: crc32Base64(data) });
    const expected = { ChecksumCRC32: crc32Base64(data), ChecksumType: 'FULL_OBJECT' };
    expect(await s3.head('kept', { ChecksumMode: 'ENABLED' })).toMatchObject(expected);
    expect(await s3.get('kept', { ChecksumMode: 'ENABLED' })).toMatchObject(expected);
  });

  rule('does not come back unasked, nor with a range', async () => {
    await s3.put('kept-too', data, { ChecksumCRC32: crc32Base64(data) });
    expect((await s3.head('kept-too')).ChecksumCRC32).toBeUndefined();
    expect((await s3.get('kept-too', { ChecksumMode: 'ENABLED', Range: 'bytes=0-9' })).ChecksumCRC32).toBeUndefined();
  });

  rule('goes with its copy, or is made for it', async () => {
    await s3.put('plain', data);
    const CopySource = `${s3.bucket}/plain`;
    await s3.client.send(
      new CopyObjectCommand({ Bucket: s3.bucket, Key: 'checked', CopySource, ChecksumAlgorithm: 'CRC32' }),
    );
    await s3.client.send(
      new CopyObjectCommand({ Bucket: s3.bucket, Key: 'again', CopySource: `${s3.bucket}/checked` }),
    );
    expect((await s3.head('again', { ChecksumMode: 'ENABLED' })).ChecksumCRC32).toBe(crc32Base64(data));
  });
});

describe('a body with its checksum behind it', () => {
  const chunked = (body: Buffer, trailer: string, { length = body.length, path = 'trailed' } = {}) => ({
    method: 'PUT',
    path: `/${s3.bucket}/${path}`,
    headers: {
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': String(length),
      'x-amz-trailer': 'x-amz-checksum-crc32',
      'content-length': String(Buffer.byteLength(encode(body, trailer))),
    },
    body: encode(body, trailer),
  });
  const encode = (body: Buffer, trailer: string) =>
    Buffer.concat([
      Buffer.from('7;ext=1\r\n'),
      body.subarray(0, 7),
      Buffer.from(`\r\n${(body.length - 7).toString(16)}\r\n`),
      body.subarray(7),
      Buffer.from(`\r\n0\r\n${trailer}\r\n\r\n`),
    ]);

  rule('is stored without its encoding', async () => {
    expect((await send(s3.target, chunked(data, `x-amz-checksum-crc32:${crc32Base64(data)}`))).status).toBe(200);
    const got = await s3.get('trailed', { ChecksumMode: 'ENABLED' });
    expect(got.body.equals(data)).toBe(true);
    expect(got).toMatchObject({ ChecksumCRC32: crc32Base64(data) });
    expect(got.ContentEncoding).toBeUndefined();
  });

  rule('is what the SDK sends by default for a stream', async () => {
    const client = s3.newClient({ requestChecksumCalculation: 'WHEN_SUPPORTED' });
    const Body = Readable.from([data.subarray(0, 10), data.subarray(10)]);
    await client.send(new PutObjectCommand({ Bucket: s3.bucket, Key: 'sdk-stream', Body, ContentLength: data.length }));
    expect((await s3.get('sdk-stream')).body.equals(data)).toBe(true);
  });

  rule('that does not fit is BadDigest, and leaves nothing', async () => {
    const raw = chunked(data, `x-amz-checksum-crc32:${crc32Base64(other)}`, { path: 'bad-trailer' });
    expect((await send(s3.target, raw)).summary).toBe('400 BadDigest');
    expect(await refusal(s3.get('bad-trailer'))).toBe('404 NoSuchKey');
  });

  rule('that does not come is MalformedTrailerError', async () => {
    const raw = chunked(data, 'x-amz-other:1', { path: 'no-trailer' });
    expect((await send(s3.target, raw)).summary).toBe('400 MalformedTrailerError');
  });

  rule('of another length than announced is IncompleteBody', async () => {
    for (const length of [data.length - 1, data.length + 1]) {
      const raw = chunked(data, `x-amz-checksum-crc32:${crc32Base64(data)}`, { path: 'odd-length', length });
      expect((await send(s3.target, raw)).summary).toBe('400 IncompleteBody');
    }
    expect(await refusal(s3.get('odd-length'))).toBe('404 NoSuchKey');
  });
});

describe('an upload with CRC32', () => {
  rule('FULL_OBJECT has the CRC32 of the whole object', async () => {
    const upload = await s3.upload('full', FULL);
    const parts = [await upload.part(1, large), await upload.part(2, data)];
    const whole = Buffer.concat([large, data]);
    const answer = await upload.complete(parts, { ChecksumCRC32: crc32Base64(whole), ChecksumType: 'FULL_OBJECT' });
    expect(answer).toMatchObject({ ChecksumCRC32: crc32Base64(whole), ChecksumType: 'FULL_OBJECT' });
    const got = await s3.get('full', { ChecksumMode: 'ENABLED' });
    expect(got.body.equals(whole)).toBe(true);
    expect(got).toMatchObject({ ChecksumCRC32: crc32Base64(whole), ChecksumType: 'FULL_OBJECT' });
  });

  rule('COMPOSITE has the CRC32 of the parts’ CRC32s', async () => {
    const upload = await s3.upload('composite', COMPOSITE);
    const parts = [await upload.part(1, large), await upload.part(2, data)];
    const answer = await upload.complete(parts);
    const crcs = Buffer.concat([large, data].map((part) => Buffer.from(crc32Base64(part), 'base64')));
    expect(answer).toMatchObject({ ChecksumCRC32: `${crc32Base64(crcs)}-2`, ChecksumType: 'COMPOSITE' });
  });

  rule('COMPOSITE needs the CRC32 of each part to complete', async () => {
    const upload = await s3.upload('composite-bare', COMPOSITE);
    const { PartNumber, ETag } = await upload.part(1, data);
    expect(await refusal(upload.complete([{ PartNumber, ETag }]))).toBe('400 InvalidRequest');
    await upload.abort();
  });

  rule('computes the CRC32 of a part that comes without, and lists it', async () => {
    const upload = await s3.upload('computed', FULL);
    const { ChecksumCRC32 } = await upload.part(1, data);
    expect(ChecksumCRC32).toBe(crc32Base64(data));
    const listed = await upload.parts();
    expect(listed).toMatchObject({ ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
    expect(listed.Parts).toMatchObject([{ PartNumber: 1, Size: data.length, ChecksumCRC32: crc32Base64(data) }]);
    await upload.abort();
  });

  rule('refuses a part with a wrong CRC32', async () => {
    const upload = await s3.upload('bad-part', FULL);
    expect(await refusal(upload.part(1, data, { ChecksumCRC32: crc32Base64(other) }))).toBe('400 BadDigest');
    expect((await upload.parts()).Parts ?? []).toEqual([]);
    await upload.abort();
  });

  rule('refuses a part with a checksum of another algorithm', async () => {
    const upload = await s3.upload('other-algorithm', FULL);
    expect(await refusal(upload.part(1, data, { ChecksumSHA256: sha256(data) }))).toBe('400 InvalidRequest');
    await upload.abort();
  });

  rule('refuses to complete with another CRC32 of the object', async () => {
    const upload = await s3.upload('bad-whole', FULL);
    const parts = [await upload.part(1, data)];
    expect(await refusal(upload.complete(parts, { ChecksumCRC32: crc32Base64(other) }))).toBe('400 BadDigest');
    await upload.complete(parts, { ChecksumCRC32: crc32Base64(data) });
    expect((await s3.get('bad-whole')).body.equals(data)).toBe(true);
  });

  rule('refuses to complete with another CRC32 of a part', async () => {
    const upload = await s3.upload('bad-listed', FULL);
    const part = await upload.part(1, data);
    expect(await refusal(upload.complete([{ ...part, ChecksumCRC32: crc32Base64(other) } as typeof part]))).toBe(
      '400 InvalidPart',
    );
    await upload.abort();
  });

  rule('refuses to complete with a gap in the part numbers', async () => {
    const upload = await s3.upload('gap', FULL);
    const parts = [await upload.part(1, large), await upload.part(3, data)];
    expect(await refusal(upload.complete(parts))).toBe('400 InvalidPartOrder');
    await upload.abort();
  });

  rule('has the CRC32 of the whole object from copied parts too', async () => {
    await s3.put('copied-from', large);
    const upload = await s3.upload('copied', FULL);
    const parts = [
      await upload.copy(1, `${s3.bucket}/copied-from`, { CopySourceRange: `bytes=3-${MIN_PART + 2}` }),
      await upload.part(2, data),
    ];
    const whole = Buffer.concat([large.subarray(3, MIN_PART + 3), data]);
    const answer = await upload.complete(parts, { ChecksumCRC32: crc32Base64(whole) });
    expect(answer.ChecksumCRC32).toBe(crc32Base64(whole));
    expect((await s3.get('copied')).body.equals(whole)).toBe(true);
  });
});

describe('an upload without a checksum', () => {
  rule('still verifies the CRC32 of a part', async () => {
    const upload = await s3.upload('unchecked');
    expect(await refusal(upload.part(1, data, { ChecksumCRC32: crc32Base64(other) }))).toBe('400 BadDigest');
    const part = await upload.part(1, data, { ChecksumCRC32: crc32Base64(data) });
    await upload.complete([{ PartNumber: 1, ETag: part.ETag }]);
  });
});
