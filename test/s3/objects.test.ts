import { Readable } from 'node:stream';
import { CopyObjectCommand, DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3';
import { describe, expect } from 'vitest';
import { bytes, md5, unquoted } from './support/bytes.ts';
import { refusal, statusOf } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();

describe('an object', () => {
  rule('comes back as it was put, with its type, metadata and the MD5 as its ETag', 'API/API_Object', async () => {
    const data = bytes(200_001);
    const { ETag } = await s3.put('whole', data, {
      ContentType: 'text/x-test',
      CacheControl: 'no-store',
      Metadata: { colour: 'red' },
    });
    expect(ETag).toBe(md5(data));
    const got = await s3.get('whole');
    expect(got.body.equals(data)).toBe(true);
    expect(got).toMatchObject({
      ETag,
      ContentType: 'text/x-test',
      CacheControl: 'no-store',
      Metadata: { colour: 'red' },
      ContentLength: 200_001,
    });
    expect(Math.abs((got.LastModified?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  rule('of no bytes is an object', 'API_GetObject', async () => {
    await s3.put('empty', Buffer.alloc(0));
    const { body, ContentLength, ETag } = await s3.get('empty');
    expect({ length: body.length, ContentLength, ETag }).toEqual({
      length: 0,
      ContentLength: 0,
      ETag: '"d41d8cd98f00b204e9800998ecf8427e"',
    });
  });

  rule('can be a stream of known length', 'API_PutObject', async () => {
    const data = bytes(300_000, 2);
    await s3.put('streamed', Readable.from([data.subarray(0, 7), data.subarray(7, 150_000), data.subarray(150_000)]), {
      ContentLength: data.length,
    });
    expect((await s3.get('streamed')).body.equals(data)).toBe(true);
  });

  rule('of zeros, and of zeros here and there, reads as it was put', 'API_GetObject', async () => {
    for (const [key, spots] of Object.entries({ zeros: [], spotted: [0, 65_535, 131_072, 400_000, 999_999] })) {
      const data = Buffer.alloc(1_000_000);
      for (const spot of spots) data[spot] = 1;
      await s3.put(key, data);
      expect((await s3.get(key)).body.equals(data)).toBe(true);
      const part = await s3.get(key, { Range: 'bytes=65000-400001' });
      expect(part.body.equals(data.subarray(65_000, 400_002))).toBe(true);
    }
  });

  rule('has at most 2 KiB of metadata', 'userguide/UsingMetadata', async () => {
    await s3.put('described', 'x', { Metadata: { a: 'v'.repeat(2000) } });
    expect(await refusal(s3.put('described', 'x', { Metadata: { a: 'v'.repeat(2048) } }))).toBe('400 MetadataTooLarge');
  });

  rule('that is put again is replaced', 'API_PutObject', async () => {
    await s3.put('again', 'first, and longer');
    await s3.put('again', 'second');
    expect((await s3.get('again')).body.toString()).toBe('second');
  });

  rule('read to its end is whole, even if replaced meanwhile', 'userguide/Welcome', async () => {
    const before = bytes(8_000_000, 3);
    await s3.put('meanwhile', before);
    const reads = Array.from({ length: 4 }, () => s3.get('meanwhile'));
    await s3.put('meanwhile', 'other');
    for (const { body } of await Promise.all(reads)) {
      expect(body.equals(before) || body.toString() === 'other').toBe(true);
    }
  });

  rule('that does not exist is NoSuchKey, and 404 without a body for HEAD', 'error NoSuchKey', async () => {
    expect(await refusal(s3.get('nowhere'))).toBe('404 NoSuchKey');
    const head = await send(s3.target, { method: 'HEAD', path: `/${s3.bucket}/nowhere` });
    expect([head.status, head.text]).toEqual([404, '']);
  });

  rule('in a bucket that does not exist is NoSuchBucket', 'error NoSuchBucket', async () => {
    expect(await refusal(s3.get('any', { Bucket: 'unqcow-no-such-bucket' }))).toBe('404 NoSuchBucket');
    expect(await refusal(s3.put('any', 'x', { Bucket: 'unqcow-no-such-bucket' }))).toBe('404 NoSuchBucket');
  });

  rule(
    'of a version other than null does not exist in an unversioned bucket',
    'userguide/RetMetaOfObjVersion',
    async () => {
      await s3.put('unversioned', 'x');
      expect((await s3.get('unversioned', { VersionId: 'null' })).body.toString()).toBe('x');
      expect(
        await statusOf(s3.get('unversioned', { VersionId: 'LqDhTQsJ9zzGs8oCwyL4Lz3gPZ2l8S_a' })),
      ).toBeGreaterThanOrEqual(400);
    },
  );
});

describe('deleting', () => {
  rule('an object answers 204, and so does deleting what is not there', 'API_DeleteObject', async () => {
    await s3.put('doomed', 'x');
    for (const key of ['doomed', 'doomed']) {
      const { $metadata } = await s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key: key }));
      expect($metadata.httpStatusCode).toBe(204);
    }
    expect(await statusOf(s3.head('doomed'))).toBe(404);
  });

  rule('many objects names each, there or not', 'API_DeleteObjects', async () => {
    await s3.put('many/1', 'x');
    await s3.put('many/ 2&<', 'x');
    const Objects = [{ Key: 'many/1' }, { Key: 'many/ 2&<' }, { Key: 'many/absent' }];
    const { Deleted = [], Errors = [] } = await s3.client.send(
      new DeleteObjectsCommand({ Bucket: s3.bucket, Delete: { Objects } }),
    );
    expect(Deleted.map(({ Key }) => Key).sort()).toEqual(Objects.map(({ Key }) => Key).sort());
    expect(Errors).toEqual([]);
    expect(await statusOf(s3.head('many/ 2&<'))).toBe(404);
  });

  rule('many objects in silence names none', 'API_DeleteObjects', async () => {
    await s3.put('quiet', 'x');
    const { Deleted = [] } = await s3.client.send(
      new DeleteObjectsCommand({ Bucket: s3.bucket, Delete: { Objects: [{ Key: 'quiet' }], Quiet: true } }),
    );
    expect(Deleted).toEqual([]);
    expect(await statusOf(s3.head('quiet'))).toBe(404);
  });

  rule('many objects needs a checksum of the list', 'API_DeleteObjects', async () => {
    const body = '<Delete><Object><Key>k</Key></Object></Delete>';
    const { summary } = await send(s3.target, { method: 'POST', path: `/${s3.bucket}`, query: { delete: '' }, body });
    expect(summary).toBe('400 InvalidRequest');
  });
});

describe('keys', () => {
  const keys = [
    'plain',
    'a b',
    'a+b',
    'a%20b',
    'a//b',
    '/leading',
    'trailing/',
    'a/../b',
    '../../up',
    './dot',
    '..',
    'ü/日本/🙂',
    `q?x=1&y#z`,
    `"<&>'`,
    'a\\b',
    '~-_.!*()',
    `${'k'.repeat(1023)}é`.slice(0, 1023),
  ];
  for (const key of keys) {
    rule(`round-trip: ${key.slice(0, 20)}`, 'userguide/object-keys', async () => {
      const data = bytes(100, keys.indexOf(key) + 10);
      await s3.put(key, data);
      expect((await s3.get(key)).body.equals(data)).toBe(true);
    });
  }

  rule('may be 1,024 bytes of UTF-8 long, and no longer', 'error KeyTooLongError', async () => {
    const longest = 'é'.repeat(512);
    await s3.put(longest, 'x');
    expect((await s3.get(longest)).body.toString()).toBe('x');
    expect(await refusal(s3.put(`${longest}x`, 'x'))).toMatch(/^400 /);
  });

  rule('of more than 1,024 bytes are KeyTooLongError', 'error KeyTooLongError', async () => {
    expect(await refusal(s3.put('k'.repeat(1025), 'x'))).toBe('400 KeyTooLongError');
  });
});

describe('copying an object', () => {
  const copy = (key: string, source: string, more = {}) =>
    s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: key, CopySource: source, ...more }));

  rule('takes its bytes, type and metadata', 'API_CopyObject', async () => {
    const data = bytes(100_000, 4);
    const { ETag } = await s3.put('copy/source ü', data, { ContentType: 'text/x-copied', Metadata: { kept: 'yes' } });
    const { CopyObjectResult } = await copy('copy/target', `${s3.bucket}/${encodeURIComponent('copy/source ü')}`);
    expect(unquoted(CopyObjectResult?.ETag)).toBe(unquoted(ETag));
    const got = await s3.get('copy/target');
    expect(got.body.equals(data)).toBe(true);
    expect(got).toMatchObject({ ETag, ContentType: 'text/x-copied', Metadata: { kept: 'yes' } });
  });

  rule('answers the ETag in quotes', 'API_CopyObject', async () => {
    const { ETag } = await s3.put('copy/quoted', 'x');
    const { CopyObjectResult } = await copy('copy/quoted-too', `${s3.bucket}/copy/quoted`);
    expect(CopyObjectResult?.ETag).toBe(ETag);
  });

  rule('outlives its source', 'API_CopyObject', async () => {
    await s3.put('copy/short-lived', 'lasting');
    await copy('copy/lasting', `${s3.bucket}/copy/short-lived`);
    await s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key: 'copy/short-lived' }));
    expect((await s3.get('copy/lasting')).body.toString()).toBe('lasting');
  });

  rule('with REPLACE takes the new metadata', 'API_CopyObject', async () => {
    await s3.put('copy/replaced', 'x', { Metadata: { old: '1' } });
    await copy('copy/replaced', `${s3.bucket}/copy/replaced`, { MetadataDirective: 'REPLACE', Metadata: { new: '2' } });
    expect((await s3.head('copy/replaced')).Metadata).toEqual({ new: '2' });
  });

  rule('onto itself needs REPLACE', 'API_CopyObject', async () => {
    await s3.put('copy/self', 'x');
    expect(await refusal(copy('copy/self', `${s3.bucket}/copy/self`))).toBe('400 InvalidRequest');
  });

  rule('of what does not exist is NoSuchKey', 'error NoSuchKey', async () => {
    expect(await refusal(copy('copy/none', `${s3.bucket}/copy/absent`))).toBe('404 NoSuchKey');
  });

  rule('an object with copy-source-if-match of another ETag is PreconditionFailed', 'API_CopyObject', async () => {
    await s3.put('copy/if', 'x');
    expect(await refusal(copy('copy/if-not', `${s3.bucket}/copy/if`, { CopySourceIfMatch: '"0"' }))).toBe(
      '412 PreconditionFailed',
    );
  });

  rule('with copy-source-if-match of its ETag is done', 'API_CopyObject', async () => {
    const { ETag } = await s3.put('copy/if-same', 'x');
    await copy('copy/if-ok', `${s3.bucket}/copy/if-same`, { CopySourceIfMatch: ETag });
    expect((await s3.get('copy/if-ok')).body.toString()).toBe('x');
  });
});
