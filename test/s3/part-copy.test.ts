import { beforeAll, describe, expect } from 'vitest';
import { bytes, crc32Base64, MIN_PART, unquoted } from './support/bytes.ts';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();
const SIZE = MIN_PART + 300_000;
const source = bytes(SIZE, 8);
// Zeros in the middle, so that copies run over holes too.
source.fill(0, 1_000_000, 3_000_000);
let from = '';
let etag = '';

beforeAll(async () => {
  from = `${s3.bucket}/${encodeURIComponent('source of/ü+')}`;
  etag = (await s3.put('source of/ü+', source)).ETag ?? '';
  await s3.put('small', bytes(1000));
});

describe('copying a part', () => {
  rule('takes the whole source', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('whole');
    await upload.complete([await upload.copy(1, from)]);
    expect((await s3.get('whole')).body.equals(source)).toBe(true);
  });

  rule('takes a small source whole', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('whole-small');
    await upload.complete([await upload.copy(1, `${s3.bucket}/small`)]);
    expect((await s3.get('whole-small')).body.equals(bytes(1000))).toBe(true);
  });

  rule('takes exactly the range', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('ranged');
    const parts = [
      await upload.copy(1, from, { CopySourceRange: `bytes=17-${MIN_PART + 16}` }),
      await upload.copy(2, from, { CopySourceRange: 'bytes=999990-1000009' }),
    ];
    await upload.complete(parts);
    const expected = Buffer.concat([source.subarray(17, MIN_PART + 17), source.subarray(999_990, 1_000_010)]);
    expect((await s3.get('ranged')).body.equals(expected)).toBe(true);
  });

  rule('gives the part a 32-digit ETag that ListParts and Complete know', 'API_ListParts', async () => {
    const upload = await s3.upload('etag');
    const part = await upload.copy(1, from, { CopySourceRange: 'bytes=0-99' });
    expect(unquoted(part.ETag)).toMatch(/^[0-9a-f]{32}$/);
    const [listed] = (await upload.parts()).Parts ?? [];
    expect(listed).toMatchObject({ PartNumber: 1, Size: 100 });
    expect(unquoted(listed?.ETag)).toBe(unquoted(part.ETag));
    await upload.complete([part]);
  });

  rule('answers the part’s ETag in quotes', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('quoted');
    const { ETag } = await upload.copy(1, `${s3.bucket}/small`);
    expect(ETag).toMatch(/^".*"$/);
    await upload.abort();
  });

  rule('mixes with uploaded parts', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('mixed');
    const own = bytes(MIN_PART, 9);
    const parts = [await upload.part(1, own), await upload.copy(2, from), await upload.part(3, own.subarray(5))];
    await upload.complete(parts);
    const { ETag, body } = await s3.get('mixed');
    expect(ETag).toMatch(/^"[0-9a-f]{32}-3"$/);
    expect(body.equals(Buffer.concat([own, source, own.subarray(5)]))).toBe(true);
  });

  rule('outlives its source', 'API_UploadPartCopy', async () => {
    await s3.put('short-lived', source);
    const upload = await s3.upload('outliving');
    const part = await upload.copy(1, `${s3.bucket}/short-lived`);
    await s3.put('short-lived', 'replaced');
    await upload.complete([part]);
    expect((await s3.get('outliving')).body.equals(source)).toBe(true);
  });

  rule('takes the null version of an unversioned source', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('null-version');
    await upload.complete([await upload.copy(1, `${from}?versionId=null`)]);
    expect((await s3.head('null-version')).ContentLength).toBe(SIZE);
  });

  rule('refuses a source that does not exist', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('no-source');
    expect(await refusal(upload.copy(1, `${s3.bucket}/absent`))).toBe('404 NoSuchKey');
    expect(await refusal(upload.copy(1, 'unqcow-no-such-bucket/absent'))).toBe('404 NoSuchBucket');
    expect(await refusal(upload.copy(1, 'no-slash'))).toBe('400 InvalidArgument');
    await upload.abort();
  });

  rule('with copy-source-if-match of the source’s ETag is done', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('if-match');
    await upload.complete([await upload.copy(1, from, { CopySourceIfMatch: etag })]);
    expect((await s3.head('if-match')).ContentLength).toBe(SIZE);
  });

  rule('with copy-source-if-match of another ETag is PreconditionFailed', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('if-not-match');
    expect(await refusal(upload.copy(1, from, { CopySourceIfMatch: '"0"' }))).toBe('412 PreconditionFailed');
    await upload.abort();
  });

  rule('refuses a range that runs past the source', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('past');
    for (const range of [`bytes=0-${SIZE}`, `bytes=${SIZE}-${SIZE + 1}`]) {
      expect(await refusal(upload.copy(1, from, { CopySourceRange: range }))).toMatch(
        /^(400 InvalidArgument|416 InvalidRange)$/,
      );
    }
    await upload.abort();
  });

  rule('refuses a range that is not bytes=first-last', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('odd');
    for (const range of ['bytes=5-', 'bytes=-5', 'bytes=9-3', '0-99', 'bytes=0-1,3-4']) {
      expect(`${await refusal(upload.copy(1, from, { CopySourceRange: range }))}: ${range}`).toBe(
        `400 InvalidArgument: ${range}`,
      );
    }
    await upload.abort();
  });

  rule('refuses a range of a source of at most 5 MiB', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('small-source');
    expect(await refusal(upload.copy(1, `${s3.bucket}/small`, { CopySourceRange: 'bytes=0-9' }))).toBe(
      '400 InvalidRequest',
    );
    await upload.abort();
  });

  rule('into an unknown upload is NoSuchUpload', 'error NoSuchUpload', async () => {
    const upload = await s3.upload('gone');
    await upload.abort();
    expect(await refusal(upload.copy(1, from))).toBe('404 NoSuchUpload');
  });

  rule('answers the range’s CRC32 where the upload has checksums', 'API_UploadPartCopy', async () => {
    const upload = await s3.upload('copy-crc', { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
    for (const [start, end] of [
      [0, SIZE],
      [1, 65_537],
      [65_536, 131_072],
      [70_000, 70_001],
      [900_000, 3_200_001],
      [1_500_000, 2_500_000],
    ] as const) {
      const copied = await upload.copy(1, from, { CopySourceRange: `bytes=${start}-${end - 1}` });
      expect(copied).toMatchObject({ ChecksumCRC32: crc32Base64(source.subarray(start, end)) });
    }
    await upload.abort();
  });
});
