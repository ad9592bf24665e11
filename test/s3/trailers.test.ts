import { Readable } from 'node:stream';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect } from 'vitest';
import { bytes } from './support/bytes.ts';
import { ALGORITHM_NAMES, checksum, given } from './support/checksums.ts';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { useS3 } from './support/use-s3.ts';

const TRAILERS = 'API/sigv4-streaming-trailers';
const s3 = useS3();
const data = bytes(100_000, 20);
const other = bytes(100_000, 21);

const encode = (body: Buffer, trailer: string, first = 8192) =>
  Buffer.concat([
    Buffer.from(`${first.toString(16)};ext=1\r\n`),
    body.subarray(0, first),
    Buffer.from(`\r\n${(body.length - first).toString(16)}\r\n`),
    body.subarray(first),
    Buffer.from(`\r\n0\r\n${trailer}\r\n\r\n`),
  ]);

interface Options {
  readonly length?: number;
  readonly path?: string;
  readonly name?: string;
  readonly first?: number;
}

const put = (body: Buffer, trailer: string, options: Options = {}) => {
  const { length = body.length, path = 'trailed', name = 'x-amz-checksum-crc32', first } = options;
  const encoded = encode(body, trailer, first);
  const headers = {
    'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': String(length),
    'x-amz-trailer': name,
    'content-length': String(encoded.length),
  };
  return send(s3.target, { method: 'PUT', path: `/${s3.bucket}/${path}`, headers, body: encoded });
};

describe('a body with its checksum behind it', () => {
  for (const algorithm of ALGORITHM_NAMES) {
    const name = `x-amz-checksum-${algorithm.toLowerCase()}`;
    const path = `trailed-${algorithm}`;

    rule(`is stored without its encoding, and with its ${algorithm}`, TRAILERS, async () => {
      const { status } = await put(data, `${name}:${await checksum(algorithm, data)}`, { name, path });
      expect(status).toBe(200);
      const got = await s3.get(path, { ChecksumMode: 'ENABLED' });
      expect(got.body.equals(data)).toBe(true);
      expect(got).toMatchObject(await given(algorithm, data));
      expect(got.ContentEncoding).toBeUndefined();
    });

    rule(`whose ${algorithm} does not fit is BadDigest, and leaves nothing`, 'error BadDigest', async () => {
      const trailer = `${name}:${await checksum(algorithm, other)}`;
      expect((await put(data, trailer, { name, path: `bad-${algorithm}` })).summary).toBe('400 BadDigest');
      expect(await refusal(s3.get(`bad-${algorithm}`))).toBe('404 NoSuchKey');
    });
  }

  rule('is what the SDK sends by default for a stream', 'userguide/checking-object-integrity-upload', async () => {
    const client = s3.newClient({ requestChecksumCalculation: 'WHEN_SUPPORTED' });
    const Body = Readable.from([data.subarray(0, 50_000), data.subarray(50_000)]);
    await client.send(new PutObjectCommand({ Bucket: s3.bucket, Key: 'sdk-stream', Body, ContentLength: data.length }));
    expect((await s3.get('sdk-stream')).body.equals(data)).toBe(true);
  });

  rule('in chunks under 8 KiB but the last is InvalidChunkSizeError', 'API/sigv4-streaming', async () => {
    const trailer = `x-amz-checksum-crc32:${await checksum('CRC32', data)}`;
    const { summary } = await put(data, trailer, { path: 'small-chunks', first: 8191 });
    expect(summary).toBe('403 InvalidChunkSizeError');
    expect(await refusal(s3.get('small-chunks'))).toBe('404 NoSuchKey');
  });

  rule('that does not come is MalformedTrailerError', TRAILERS, async () => {
    expect((await put(data, 'x-amz-other:1', { path: 'no-trailer' })).summary).toBe('400 MalformedTrailerError');
  });

  rule('that is no checksum is InvalidRequest', TRAILERS, async () => {
    expect((await put(data, 'x-amz-other:1', { path: 'odd-trailer', name: 'x-amz-other' })).summary).toBe(
      '400 InvalidRequest',
    );
  });

  rule('of another length than announced is IncompleteBody', 'error IncompleteBody', async () => {
    const trailer = `x-amz-checksum-crc32:${await checksum('CRC32', data)}`;
    for (const length of [data.length - 1, data.length + 1])
      expect((await put(data, trailer, { path: 'odd-length', length })).summary).toBe('400 IncompleteBody');
    expect(await refusal(s3.get('odd-length'))).toBe('404 NoSuchKey');
  });
});
