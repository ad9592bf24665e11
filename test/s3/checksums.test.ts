import { createHash } from 'node:crypto';
import { CopyObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect } from 'vitest';
import { bytes, MIN_PART } from './support/bytes.ts';
import { ALGORITHM_NAMES, checksum, composed, found, given, memberOf } from './support/checksums.ts';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();
const data = bytes(100_000, 20);
const other = bytes(100_000, 21);
const md5 = (body: Buffer) => createHash('md5').update(body).digest('base64');

describe('PutObject', () => {
  for (const algorithm of ALGORITHM_NAMES) {
    rule(`with the right ${algorithm} is accepted`, 'API_PutObject', async () => {
      await s3.put(`right-${algorithm}`, data, await given(algorithm, data));
      expect((await s3.get(`right-${algorithm}`)).body.equals(data)).toBe(true);
    });

    rule(`answers the ${algorithm} that it was given`, 'API_PutObject', async () => {
      const answer = await s3.put(`answered-${algorithm}`, data, await given(algorithm, data));
      expect(found(answer)).toEqual(await given(algorithm, data));
    });

    rule(`with a wrong ${algorithm} is BadDigest, and leaves nothing`, 'error BadDigest', async () => {
      expect(await refusal(s3.put(`wrong-${algorithm}`, data, await given(algorithm, other)))).toBe('400 BadDigest');
      expect(await refusal(s3.get(`wrong-${algorithm}`))).toBe('404 NoSuchKey');
    });
  }

  rule('with the right Content-MD5 is accepted', 'API_PutObject', async () => {
    await s3.put('right-md5', data, { ContentMD5: md5(data) });
    expect((await s3.get('right-md5')).body.equals(data)).toBe(true);
  });

  rule('with a wrong Content-MD5 is BadDigest, and leaves what was there', 'error BadDigest', async () => {
    await s3.put('wrong-md5', data);
    expect(await refusal(s3.put('wrong-md5', data, { ContentMD5: md5(other) }))).toBe('400 BadDigest');
    expect((await s3.get('wrong-md5')).body.equals(data)).toBe(true);
  });

  rule('with a malformed checksum is InvalidRequest', 'userguide/checking-object-integrity-upload', async () => {
    expect(await refusal(s3.put('malformed', data, { ChecksumCRC32: 'AAAA' }))).toBe('400 InvalidRequest');
    expect(await refusal(s3.put('malformed', data, { ChecksumCRC64NVME: 'not base64' }))).toBe('400 InvalidRequest');
  });

  rule('with a malformed Content-MD5 is InvalidDigest', 'error InvalidDigest', async () => {
    expect(await refusal(s3.put('malformed', data, { ContentMD5: 'AAAA' }))).toBe('400 InvalidDigest');
  });

  rule('with two checksums is InvalidRequest', 'API_PutObject', async () => {
    const both = { ...(await given('CRC32', data)), ...(await given('SHA256', data)) };
    expect(await refusal(s3.put('two', data, both))).toBe('400 InvalidRequest');
  });

  rule('that announces a checksum which does not come is InvalidRequest', 'API_PutObject', async () => {
    const raw = { method: 'PUT', path: `/${s3.bucket}/announced`, body: data };
    const headers = { 'x-amz-sdk-checksum-algorithm': 'CRC32' };
    expect((await send(s3.target, { ...raw, headers })).summary).toBe('400 InvalidRequest');
    const another = { ...headers, 'x-amz-checksum-sha256': await checksum('SHA256', data) };
    expect((await send(s3.target, { ...raw, headers: another })).summary).toBe('400 InvalidRequest');
  });
});

describe('an object’s checksum', () => {
  for (const algorithm of ALGORITHM_NAMES) {
    rule(`${algorithm} comes back on GET and HEAD when asked for, with its type`, 'API_GetObject', async () => {
      await s3.put(`kept-${algorithm}`, data, await given(algorithm, data));
      const expected = { ...(await given(algorithm, data)), ChecksumType: 'FULL_OBJECT' };
      expect(await s3.head(`kept-${algorithm}`, { ChecksumMode: 'ENABLED' })).toMatchObject(expected);
      expect(await s3.get(`kept-${algorithm}`, { ChecksumMode: 'ENABLED' })).toMatchObject(expected);
    });

    rule(`${algorithm} is made for a copy that asks for it`, 'API_CopyObject', async () => {
      const sparse = Buffer.concat([data, Buffer.alloc(1_000_000), other]);
      await s3.put('plain', sparse);
      const CopySource = `${s3.bucket}/plain`;
      const Key = `made-${algorithm}`;
      const { CopyObjectResult = {} } = await s3.client.send(
        new CopyObjectCommand({ Bucket: s3.bucket, Key, CopySource, ChecksumAlgorithm: algorithm }),
      );
      expect(found(CopyObjectResult)).toEqual(await given(algorithm, sparse));
      expect(await s3.head(Key, { ChecksumMode: 'ENABLED' })).toMatchObject(await given(algorithm, sparse));
    });
  }

  rule('goes with its copy', 'API_CopyObject', async () => {
    await s3.put('original', data, await given('CRC32C', data));
    const CopySource = `${s3.bucket}/original`;
    await s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: 'copied', CopySource }));
    expect(await s3.head('copied', { ChecksumMode: 'ENABLED' })).toMatchObject(await given('CRC32C', data));
  });

  rule('of parts becomes one of the whole in a copy', 'userguide/checking-object-integrity-upload', async () => {
    const large = bytes(MIN_PART, 22);
    const upload = await s3.upload('of-parts', { ChecksumAlgorithm: 'SHA256' });
    const parts = [
      await upload.part(1, large, await given('SHA256', large)),
      await upload.part(2, data, await given('SHA256', data)),
    ];
    expect((await upload.complete(parts)).ChecksumSHA256).toBe(await composed('SHA256', [large, data]));
    const CopySource = `${s3.bucket}/of-parts`;
    await s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: 'of-whole', CopySource }));
    const expected = { ...(await given('SHA256', Buffer.concat([large, data]))), ChecksumType: 'FULL_OBJECT' };
    expect(await s3.head('of-whole', { ChecksumMode: 'ENABLED' })).toMatchObject(expected);
  });

  rule('does not come back unasked, nor with a range', 'API_GetObject', async () => {
    await s3.put('kept-too', data, await given('CRC32', data));
    expect(found(await s3.head('kept-too'))).toEqual({});
    expect((await s3.get('kept-too', { ChecksumMode: 'ENABLED', Range: 'bytes=0-9' }))[memberOf('CRC32')]).toBe(
      undefined,
    );
  });
});
