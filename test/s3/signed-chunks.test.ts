import { describe, expect } from 'vitest';
import { bytes } from './support/bytes.ts';
import { checksum, given } from './support/checksums.ts';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { signedChunks } from './support/signed-chunks.ts';
import { useS3 } from './support/use-s3.ts';

const CHUNKS = 'API/sigv4-streaming';
const TRAILERS = 'API/sigv4-streaming-trailers';
const s3 = useS3();
const data = bytes(100_000, 50);

type Options = Parameters<typeof signedChunks>[3];
const put = (key: string, options: Partial<Options> = {}, target = s3.target) =>
  send(s3.target, signedChunks(target, `/${s3.bucket}/${key}`, data, { size: 16_384, ...options }));

describe('a body in signed chunks', () => {
  rule('is stored without its encoding', CHUNKS, async () => {
    expect((await put('chunked')).status).toBe(200);
    const got = await s3.get('chunked');
    expect(got.body.equals(data)).toBe(true);
    expect(got.ContentEncoding).toBeUndefined();
  });

  rule('of which one was changed is SignatureDoesNotMatch, and leaves nothing', CHUNKS, async () => {
    const tamper: Options['tamper'] = ([, second]) => {
      if (second) second.data = Buffer.from(second.data).fill(1, 0, 1);
    };
    expect((await put('changed', { tamper })).summary).toBe('403 SignatureDoesNotMatch');
    expect(await refusal(s3.get('changed'))).toBe('404 NoSuchKey');
  });

  rule('in another order is SignatureDoesNotMatch', CHUNKS, async () => {
    const tamper: Options['tamper'] = (chunks) => chunks.splice(0, 2, ...chunks.slice(0, 2).reverse());
    expect((await put('reordered', { tamper })).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('whose end is not signed is SignatureDoesNotMatch', CHUNKS, async () => {
    const tamper: Options['tamper'] = (chunks) => {
      const last = chunks.at(-1);
      if (last) last.signature = '0'.repeat(64);
    };
    expect((await put('unsigned-end', { tamper })).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('signed with another secret is SignatureDoesNotMatch', CHUNKS, async () => {
    const target = { ...s3.target, credentials: { ...s3.target.credentials, secretAccessKey: 'guessed' } };
    expect((await put('foreign', {}, target)).summary).toBe('403 SignatureDoesNotMatch');
  });

  rule('under 8 KiB but the last is InvalidChunkSizeError', CHUNKS, async () => {
    expect((await put('small', { size: 8191 })).summary).toBe('403 InvalidChunkSizeError');
  });

  rule('may have signed trailers', TRAILERS, async () => {
    const trailer = { name: 'x-amz-checksum-crc32c', value: await checksum('CRC32C', data) };
    expect((await put('trailed', { trailer })).status).toBe(200);
    const got = await s3.get('trailed', { ChecksumMode: 'ENABLED' });
    expect(got.body.equals(data)).toBe(true);
    expect(got).toMatchObject(await given('CRC32C', data));
  });

  rule('whose signed trailer does not fit is BadDigest', TRAILERS, async () => {
    const trailer = { name: 'x-amz-checksum-crc32c', value: await checksum('CRC32C', data.subarray(1)) };
    expect((await put('bad-trailer', { trailer })).summary).toBe('400 BadDigest');
    expect(await refusal(s3.get('bad-trailer'))).toBe('404 NoSuchKey');
  });

  rule('whose trailer was changed is SignatureDoesNotMatch', TRAILERS, async () => {
    const trailer = { name: 'x-amz-checksum-crc32c', value: await checksum('CRC32C', data.subarray(1)) };
    const raw = signedChunks(s3.target, `/${s3.bucket}/forged-trailer`, data, { size: 16_384, trailer });
    const right = await checksum('CRC32C', data);
    const forge = (encoded: Buffer) => Buffer.from(encoded.toString('latin1').replace(trailer.value, right), 'latin1');
    const body = raw.body as (headers: Record<string, string>) => Buffer;
    const { summary } = await send(s3.target, { ...raw, body: (headers) => forge(body(headers)) });
    expect(summary).toBe('403 SignatureDoesNotMatch');
  });
});
