import { createHash } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { describe, expect } from 'vitest';
import { bytes, MIN_PART } from './support/bytes.ts';
import { refusal, statusOf } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { type TestUpload, useS3 } from './support/use-s3.ts';

const s3 = useS3();
const large = bytes(MIN_PART, 6);
const small = bytes(1000, 7);

/** Sends a body to Complete as it is. */
const completeRaw = ({ at }: TestUpload, body: string) =>
  send(s3.target, { method: 'POST', path: `/${at.Bucket}/${at.Key}`, query: { uploadId: at.UploadId }, body });

describe('a multipart upload', () => {
  rule('joins its parts in the order of their numbers', 'userguide/mpuoverview', async () => {
    const upload = await s3.upload('joined', { ContentType: 'text/x-joined', Metadata: { by: 'parts' } });
    const last = await upload.part(10_000, small);
    const first = await upload.part(2, large);
    await upload.complete([first, last]);
    const got = await s3.get('joined');
    expect(got.body.equals(Buffer.concat([large, small]))).toBe(true);
    expect(got).toMatchObject({ ContentType: 'text/x-joined', Metadata: { by: 'parts' } });
  });

  rule(
    'has the MD5 of its parts’ MD5s, and their number, as its ETag',
    'userguide/checking-object-integrity',
    async () => {
      const upload = await s3.upload('etag');
      const parts = [await upload.part(1, large), await upload.part(2, small)];
      await upload.complete(parts);
      const { ETag } = await s3.head('etag');
      const md5s = Buffer.concat([large, small].map((data) => createHash('md5').update(data).digest()));
      expect(ETag).toBe(`"${createHash('md5').update(md5s).digest('hex')}-2"`);
    },
  );

  rule('is answered with the object’s ETag, bucket and key', 'userguide/mpuoverview', async () => {
    const upload = await s3.upload('answered');
    const { ETag, Bucket, Key } = await upload.complete([await upload.part(1, small)]);
    expect({ ETag, Bucket, Key }).toEqual({
      ETag: (await s3.head('answered')).ETag,
      Bucket: s3.bucket,
      Key: 'answered',
    });
  });

  rule('may be one part, smaller than the minimum', 'userguide/mpuoverview', async () => {
    const upload = await s3.upload('one');
    await upload.complete([await upload.part(1, small)]);
    expect((await s3.get('one')).body.equals(small)).toBe(true);
  });

  rule('may be one part of no bytes', 'userguide/mpuoverview', async () => {
    const upload = await s3.upload('none');
    await upload.complete([await upload.part(1, Buffer.alloc(0))]);
    expect((await s3.head('none')).ContentLength).toBe(0);
  });

  rule('is not seen before it is complete', 'userguide/mpuoverview', async () => {
    const upload = await s3.upload('unseen');
    await upload.part(1, small);
    expect(await statusOf(s3.head('unseen'))).toBe(404);
    await upload.abort();
  });

  rule('leaves out parts that Complete does not list', 'userguide/mpuoverview', async () => {
    const upload = await s3.upload('left-out');
    const kept = await upload.part(1, small);
    await upload.part(2, large);
    await upload.complete([kept]);
    expect((await s3.get('left-out')).body.equals(small)).toBe(true);
  });

  rule('keeps the last of two parts with one number', 'userguide/mpuoverview', async () => {
    const upload = await s3.upload('twice');
    const before = await upload.part(1, large);
    const after = await upload.part(1, small);
    expect((await upload.parts()).Parts).toMatchObject([{ PartNumber: 1, Size: 1000, ETag: after.ETag }]);
    expect(await refusal(upload.complete([before]))).toBe('400 InvalidPart');
    await upload.complete([after]);
    expect((await s3.get('twice')).body.equals(small)).toBe(true);
  });

  rule('has part numbers from 1 to 10,000', 'userguide/qfacts', async () => {
    const upload = await s3.upload('numbers');
    for (const number of [0, 10_001]) expect(await refusal(upload.part(number, small))).toBe('400 InvalidArgument');
    await upload.abort();
  });

  rule('can be aborted, and then neither takes parts nor lists them', 'API_AbortMultipartUpload', async () => {
    const upload = await s3.upload('aborted');
    await upload.part(1, small);
    await upload.abort();
    expect(await statusOf(upload.part(2, small))).toBe(404);
    expect(await statusOf(upload.parts())).toBe(404);
    expect(await statusOf(s3.head('aborted'))).toBe(404);
  });

  rule('that was aborted is NoSuchUpload', 'error NoSuchUpload', async () => {
    const upload = await s3.upload('aborted-by-name');
    await upload.abort();
    expect(await refusal(upload.part(2, small))).toBe('404 NoSuchUpload');
    expect(await refusal(upload.parts())).toBe('404 NoSuchUpload');
  });

  rule('that is over cannot be aborted', 'API_AbortMultipartUpload', async () => {
    const upload = await s3.upload('over');
    await upload.abort();
    expect(await refusal(upload.abort())).toBe('404 NoSuchUpload');
  });

  rule('belongs to its key', 'userguide/mpuoverview', async () => {
    const upload = await s3.upload('mine');
    const path = `/${s3.bucket}/theirs`;
    const query = { partNumber: '1', uploadId: upload.at.UploadId };
    expect((await send(s3.target, { method: 'PUT', path, query, body: 'x' })).summary).toBe('404 NoSuchUpload');
    await upload.abort();
  });
});

describe('completing an upload', () => {
  rule('refuses an ETag that is not the part’s', 'error InvalidPart', async () => {
    const upload = await s3.upload('wrong-etag');
    await upload.part(1, small);
    expect(await refusal(upload.complete([{ PartNumber: 1, ETag: '"00000000000000000000000000000000"' }]))).toBe(
      '400 InvalidPart',
    );
    await upload.abort();
  });

  rule('refuses a part that was not uploaded', 'error InvalidPart', async () => {
    const upload = await s3.upload('missing');
    const { ETag } = await upload.part(1, small);
    expect(await refusal(upload.complete([{ PartNumber: 2, ETag }]))).toBe('400 InvalidPart');
    await upload.abort();
  });

  rule('refuses parts out of order', 'error InvalidPartOrder', async () => {
    const upload = await s3.upload('disordered');
    const parts = [await upload.part(1, large), await upload.part(2, large)];
    expect(await refusal(upload.complete(parts.toReversed()))).toBe('400 InvalidPartOrder');
    await upload.abort();
  });

  rule('refuses a part listed twice', 'error InvalidPartOrder', async () => {
    const upload = await s3.upload('repeated');
    const part = await upload.part(1, large);
    expect(await refusal(upload.complete([part, part]))).toBe('400 InvalidPartOrder');
    await upload.abort();
  });

  rule('refuses a part under 5 MiB that is not the last', 'error EntityTooSmall', async () => {
    const upload = await s3.upload('too-small');
    const parts = [await upload.part(1, large.subarray(1)), await upload.part(2, small)];
    expect(await refusal(upload.complete(parts))).toBe('400 EntityTooSmall');
    await upload.abort();
  });

  rule('refuses an empty list and broken XML', 'error MalformedXML', async () => {
    const upload = await s3.upload('malformed');
    await upload.part(1, small);
    for (const body of [
      '',
      '<CompleteMultipartUpload/>',
      '<CompleteMultipartUpload><Part>',
      'no XML',
      '<Other><Part><PartNumber>1</PartNumber></Part></Other>',
    ]) {
      const { summary } = await completeRaw(upload, body);
      expect(`${summary}: ${body}`).toBe(`400 MalformedXML: ${body}`);
    }
    await upload.abort();
  });

  rule('leaves the upload as it was when it refuses', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('retried');
    const part = await upload.part(1, small);
    expect(await refusal(upload.complete([{ PartNumber: 1, ETag: '"00000000000000000000000000000000"' }]))).toBe(
      '400 InvalidPart',
    );
    await upload.complete([part]);
    expect((await s3.get('retried')).body.equals(small)).toBe(true);
  });

  rule('accepts ETags without their quotes', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('unquoted');
    const { ETag = '' } = await upload.part(1, small);
    await upload.complete([{ PartNumber: 1, ETag: ETag.replaceAll('"', '') }]);
    expect((await s3.head('unquoted')).ContentLength).toBe(1000);
  });

  rule('accepts XML with its quotes as numbers, as some SDKs write it', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('escaped');
    const { ETag = '' } = await upload.part(1, small);
    const part = `<Part><PartNumber>1</PartNumber><ETag>${ETag.replaceAll('"', '&#34;')}</ETag></Part>`;
    const { status } = await completeRaw(upload, `<CompleteMultipartUpload>${part}</CompleteMultipartUpload>`);
    expect(status).toBe(200);
  });

  rule('an upload with If-None-Match * refuses an existing key', 'API_CompleteMultipartUpload', async () => {
    await s3.put('taken', 'first');
    const upload = await s3.upload('taken');
    const parts = [await upload.part(1, small)];
    expect(await refusal(upload.complete(parts, { IfNoneMatch: '*' }))).toBe('412 PreconditionFailed');
    expect((await s3.get('taken')).body.toString()).toBe('first');
    await upload.abort();
  });

  rule('with If-None-Match * lets one of several through', 'API_CompleteMultipartUpload', async () => {
    const uploads = await Promise.all(Array.from({ length: 4 }, () => s3.upload('raced')));
    const parts = await Promise.all(uploads.map((upload, i) => upload.part(1, bytes(100, i))));
    const completed = uploads.map((upload, i) =>
      refusal(upload.complete([parts[i] ?? { PartNumber: 1 }], { IfNoneMatch: '*' })),
    );
    const results = await Promise.all(completed);
    expect(results.filter((result) => result !== '412 PreconditionFailed')).toEqual(['accepted']);
    expect((await s3.get('raced')).body.equals(bytes(100, results.indexOf('accepted')))).toBe(true);
  });

  rule('with If-None-Match * makes a new key', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('free');
    await upload.complete([await upload.part(1, small)], { IfNoneMatch: '*' });
    expect((await s3.head('free')).ContentLength).toBe(1000);
  });

  rule('with another object size than the parts’ is InvalidRequest', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('sized');
    const parts = [await upload.part(1, small)];
    expect(await refusal(upload.complete(parts, { MpuObjectSize: 1001 }))).toBe('400 InvalidRequest');
    await upload.abort();
  });

  rule('with the parts’ size as the object’s size is done', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('sized-right');
    await upload.complete([await upload.part(1, small)], { MpuObjectSize: 1000 });
    expect((await s3.head('sized-right')).ContentLength).toBe(1000);
  });

  rule('that was aborted or never begun is NoSuchUpload', 'error NoSuchUpload', async () => {
    const upload = await s3.upload('known');
    await upload.abort();
    expect(await refusal(upload.complete([{ PartNumber: 1, ETag: '"0"' }]))).toBe('404 NoSuchUpload');
    const path = `/${s3.bucket}/known`;
    const body =
      '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"0"</ETag></Part></CompleteMultipartUpload>';
    expect((await send(s3.target, { method: 'POST', path, query: { uploadId: '2~unknown' }, body })).summary).toBe(
      '404 NoSuchUpload',
    );
  });
});

describe('listing', () => {
  rule('parts gives number, size and ETag, in order', 'API_ListParts', async () => {
    const upload = await s3.upload('listed');
    const parts = [await upload.part(7, small), await upload.part(3, large), await upload.part(900, small)];
    const { Parts, IsTruncated, UploadId, Key } = await upload.parts();
    expect({ IsTruncated, UploadId, Key }).toEqual({ IsTruncated: false, UploadId: upload.at.UploadId, Key: 'listed' });
    expect(Parts).toMatchObject([
      { PartNumber: 3, Size: MIN_PART, ETag: parts[1]?.ETag },
      { PartNumber: 7, Size: 1000, ETag: parts[0]?.ETag },
      { PartNumber: 900, Size: 1000, ETag: parts[2]?.ETag },
    ]);
    await upload.abort();
  });

  rule('parts comes in pages of max-parts', 'API_ListParts', async () => {
    const upload = await s3.upload('paged');
    for (const number of [1, 2, 5, 8, 9]) await upload.part(number, small);
    const pages: (number | undefined)[][] = [];
    let PartNumberMarker: string | undefined;
    do {
      const page = await upload.parts({ MaxParts: 2, PartNumberMarker });
      pages.push((page.Parts ?? []).map(({ PartNumber }) => PartNumber));
      PartNumberMarker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
    } while (PartNumberMarker !== undefined);
    expect(pages).toEqual([[1, 2], [5, 8], [9]]);
    await upload.abort();
  });

  rule('uploads names those under way, by prefix and in pages', 'API_ListMultipartUploads', async () => {
    const uploads = [
      await s3.upload('up/b'),
      await s3.upload('up/a'),
      await s3.upload('up/c'),
      await s3.upload('elsewhere'),
    ];
    const found: (string | undefined)[] = [];
    let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
    while (markers !== undefined) {
      const page: {
        Uploads?: { Key?: string | undefined }[] | undefined;
        IsTruncated?: boolean | undefined;
        NextKeyMarker?: string | undefined;
        NextUploadIdMarker?: string | undefined;
      } = await s3.client.send(
        new ListMultipartUploadsCommand({ Bucket: s3.bucket, Prefix: 'up/', MaxUploads: 2, ...markers }),
      );
      found.push(...(page.Uploads ?? []).map(({ Key }) => Key));
      markers =
        page.IsTruncated === true
          ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
          : undefined;
    }
    expect(found).toEqual(['up/a', 'up/b', 'up/c']);
    for (const upload of uploads) await upload.abort();
  });
});
