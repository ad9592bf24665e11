import { describe, expect } from 'vitest';
import { bytes, MIN_PART } from './support/bytes.ts';
import { ALGORITHM_NAMES, type Algorithm, checksum, composed, given, memberOf } from './support/checksums.ts';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { type TestUpload, useS3 } from './support/use-s3.ts';

const INTEGRITY = 'userguide/checking-object-integrity-upload';
const s3 = useS3();
const large = bytes(MIN_PART + 12_345, 22);
const small = bytes(100_000, 20);
const other = bytes(100_000, 21);
const whole = Buffer.concat([large, small]);
const FULL = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;
const COMPOSITE = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'COMPOSITE' } as const;

/** Uploads two parts with their checksums. */
const twoParts = async (upload: TestUpload, algorithm: Algorithm) => [
  await upload.part(1, large, await given(algorithm, large)),
  await upload.part(2, small, await given(algorithm, small)),
];

describe('an upload with FULL_OBJECT', () => {
  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
    rule(`${algorithm} has the ${algorithm} of the whole object`, INTEGRITY, async () => {
      const upload = await s3.upload(`full-${algorithm}`, { ...FULL, ChecksumAlgorithm: algorithm });
      const parts = [await upload.part(1, large), await upload.part(2, small)];
      const expected = { ...(await given(algorithm, whole)), ChecksumType: 'FULL_OBJECT' };
      expect(await upload.complete(parts, expected as object)).toMatchObject(expected);
      const got = await s3.get(`full-${algorithm}`, { ChecksumMode: 'ENABLED' });
      expect(got.body.equals(whole)).toBe(true);
      expect(got).toMatchObject(expected);
    });

    rule(`${algorithm} refuses to complete with another ${algorithm} of the object`, 'error BadDigest', async () => {
      const upload = await s3.upload(`bad-${algorithm}`, { ...FULL, ChecksumAlgorithm: algorithm });
      const parts = [await upload.part(1, small)];
      expect(await refusal(upload.complete(parts, await given(algorithm, other)))).toBe('400 BadDigest');
      await upload.complete(parts, await given(algorithm, small));
      expect((await s3.get(`bad-${algorithm}`)).body.equals(small)).toBe(true);
    });

    rule(`${algorithm} gives a copied part its ${algorithm}, and the whole its own`, 'API_UploadPartCopy', async () => {
      const sparse = Buffer.concat([large.subarray(0, 70_000), Buffer.alloc(MIN_PART), large.subarray(0, 99_999)]);
      await s3.put('copied-from', sparse);
      const upload = await s3.upload(`copied-${algorithm}`, { ...FULL, ChecksumAlgorithm: algorithm });
      const range = { CopySourceRange: `bytes=3-${MIN_PART + 80_000}` };
      const copied = await upload.copy(1, `${s3.bucket}/copied-from`, range);
      const taken = sparse.subarray(3, MIN_PART + 80_001);
      expect(copied).toMatchObject(await given(algorithm, taken));
      const joined = Buffer.concat([taken, small]);
      await upload.complete([copied, await upload.part(2, small)], await given(algorithm, joined));
      expect((await s3.get(`copied-${algorithm}`)).body.equals(joined)).toBe(true);
    });
  }

  rule('computes the checksum of a part that comes without, and lists it', 'API_ListParts', async () => {
    const upload = await s3.upload('computed', FULL);
    expect(await upload.part(1, small)).toMatchObject(await given('CRC32', small));
    const listed = await upload.parts();
    expect(listed).toMatchObject({ ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
    expect(listed.Parts).toMatchObject([{ PartNumber: 1, Size: small.length, ...(await given('CRC32', small)) }]);
    await upload.abort();
  });

  rule('is refused for SHA-1 and SHA-256', INTEGRITY, async () => {
    for (const ChecksumAlgorithm of ['SHA1', 'SHA256'] as const)
      expect(await refusal(s3.upload('full-sha', { ...FULL, ChecksumAlgorithm }))).toBe('400 InvalidRequest');
  });
});

describe('an upload with COMPOSITE', () => {
  for (const algorithm of ['CRC32', 'CRC32C', 'SHA1', 'SHA256'] as const) {
    rule(`${algorithm} has the ${algorithm} of the parts’ own, and their number`, INTEGRITY, async () => {
      const upload = await s3.upload(`composite-${algorithm}`, { ChecksumAlgorithm: algorithm });
      const value = await composed(algorithm, [large, small]);
      expect(await upload.complete(await twoParts(upload, algorithm))).toMatchObject({
        [memberOf(algorithm)]: value,
        ChecksumType: 'COMPOSITE',
      });
      expect(await s3.head(`composite-${algorithm}`, { ChecksumMode: 'ENABLED' })).toMatchObject({
        [memberOf(algorithm)]: value,
        ChecksumType: 'COMPOSITE',
      });
    });
  }

  rule('refuses to complete with another composite value', 'error BadDigest', async () => {
    const upload = await s3.upload('composite-bad', COMPOSITE);
    const parts = await twoParts(upload, 'CRC32');
    expect(await refusal(upload.complete(parts, { ChecksumCRC32: await composed('CRC32', [small, large]) }))).toBe(
      '400 BadDigest',
    );
    await upload.complete(parts, { ChecksumCRC32: await composed('CRC32', [large, small]) });
  });

  rule('needs the checksum of each part to complete', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('composite-bare', COMPOSITE);
    const { PartNumber, ETag } = await upload.part(1, small, await given('CRC32', small));
    expect(await refusal(upload.complete([{ PartNumber, ETag }]))).toBe('400 InvalidRequest');
    await upload.abort();
  });

  rule('refuses a part that comes without its checksum', 'API_UploadPart', async () => {
    const upload = await s3.upload('composite-unchecked', COMPOSITE);
    expect(await refusal(upload.part(1, small))).toBe('400 InvalidRequest');
    await upload.abort();
  });

  rule('is refused for CRC64NVME', INTEGRITY, async () => {
    expect(await refusal(s3.upload('composite-64', { ...COMPOSITE, ChecksumAlgorithm: 'CRC64NVME' }))).toBe(
      '400 InvalidRequest',
    );
  });
});

describe('an upload with a checksum', () => {
  for (const algorithm of ALGORITHM_NAMES) {
    rule(`refuses a part with a wrong ${algorithm}`, 'error BadDigest', async () => {
      const upload = await s3.upload(`bad-part-${algorithm}`, { ChecksumAlgorithm: algorithm });
      expect(await refusal(upload.part(1, small, await given(algorithm, other)))).toBe('400 BadDigest');
      expect((await upload.parts()).Parts ?? []).toEqual([]);
      await upload.abort();
    });
  }

  rule('refuses a part with one of another algorithm', 'API_UploadPart', async () => {
    const upload = await s3.upload('other-algorithm', FULL);
    expect(await refusal(upload.part(1, small, await given('SHA256', small)))).toBe('400 InvalidRequest');
    await upload.abort();
  });

  rule('refuses to complete with another one of a part', 'error InvalidPart', async () => {
    const upload = await s3.upload('bad-listed', FULL);
    const part = { ...(await upload.part(1, small)), ChecksumCRC32: await checksum('CRC32', other) };
    expect(await refusal(upload.complete([part]))).toBe('400 InvalidPart');
    await upload.abort();
  });

  rule('refuses to complete with a gap in the part numbers', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('gap', FULL);
    const parts = [await upload.part(1, large), await upload.part(3, small)];
    expect(await refusal(upload.complete(parts))).toBe('400 InvalidPartOrder');
    await upload.abort();
  });

  rule('refuses to complete as one of another type', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('other-type', FULL);
    const parts = [await upload.part(1, small)];
    expect(await refusal(upload.complete(parts, { ChecksumType: 'COMPOSITE' }))).toBe('400 InvalidRequest');
    await upload.abort();
  });

  rule('says so when it begins', 'API_CreateMultipartUpload', async () => {
    const raw = { method: 'POST', path: `/${s3.bucket}/begun`, query: { uploads: '' } };
    const { headers } = await send(s3.target, { ...raw, headers: { 'x-amz-checksum-algorithm': 'CRC32C' } });
    expect([headers['x-amz-checksum-algorithm'], headers['x-amz-checksum-type']]).toEqual(['CRC32C', 'COMPOSITE']);
  });

  rule('type needs an algorithm', 'API_CreateMultipartUpload', async () => {
    expect(await refusal(s3.upload('no-algorithm', { ChecksumType: 'FULL_OBJECT' }))).toBe('400 InvalidRequest');
  });
});

describe('an upload without a checksum', () => {
  rule('refuses a part that has one', 'API_UploadPart', async () => {
    const upload = await s3.upload('unchecked');
    expect(await refusal(upload.part(1, small, await given('CRC32', small)))).toBe('400 InvalidRequest');
    await upload.abort();
  });

  rule('refuses to complete with one', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('unchecked-end');
    const parts = [await upload.part(1, small)];
    expect(await refusal(upload.complete(parts, await given('CRC32', small)))).toBe('400 InvalidRequest');
    await upload.abort();
  });
});
