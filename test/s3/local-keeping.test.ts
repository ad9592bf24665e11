import { CopyObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { bytes, md5 } from './support/bytes.ts';
import { refusal } from './support/refusal.ts';
import { useS3 } from './support/use-s3.ts';
import { targetKind } from './target.ts';

const s3 = useS3();
const KEY = 'arn:aws:kms:us-east-1:000000000000:key/1';

describe.runIf(targetKind === 'ours')('how an object is kept', () => {
  it('comes back with it, however it was made', async () => {
    const kept = {
      StorageClass: 'STANDARD_IA',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: KEY,
      Tagging: 'a=b&c=',
    } as const;
    const said = { StorageClass: 'STANDARD_IA', ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KEY, TagCount: 2 };
    expect(await s3.put('kept', 'x', kept)).toMatchObject({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KEY });
    expect(await s3.head('kept')).toMatchObject(said);
    expect(await s3.get('kept')).toMatchObject(said);
    const upload = await s3.upload('parts', kept);
    const part = await upload.part(1, bytes(1000));
    expect(await upload.complete([part])).toMatchObject({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KEY });
    expect(await s3.head('parts')).toMatchObject(said);
  });

  it('is STANDARD and AES256 where nothing is said, and the class is then not said either', async () => {
    await s3.put('plain', 'x');
    const { StorageClass, ServerSideEncryption, SSEKMSKeyId, TagCount } = await s3.head('plain');
    expect([StorageClass, ServerSideEncryption, SSEKMSKeyId, TagCount]).toEqual([
      undefined,
      'AES256',
      undefined,
      undefined,
    ]);
  });

  it('under a KMS key gives an ETag that is no MD5, and another at each write', async () => {
    const put = async () => (await s3.put('kms', 'x', { ServerSideEncryption: 'aws:kms' })).ETag;
    const [one, other] = [await put(), await put()];
    expect(new Set([one, other, md5(Buffer.from('x'))]).size).toBe(3);
    expect((await s3.head('kms')).ETag).toBe(other);
  });

  it('stays behind in a copy, but for the tags', async () => {
    await s3.put('original', 'x', { StorageClass: 'ONEZONE_IA', Tagging: 'a=b' });
    await s3.client.send(
      new CopyObjectCommand({ Bucket: s3.bucket, Key: 'copy', CopySource: `${s3.bucket}/original` }),
    );
    const { StorageClass, TagCount } = await s3.head('copy');
    expect([StorageClass, TagCount]).toEqual([undefined, 1]);
  });

  it.each([
    ['400 InvalidStorageClass', { StorageClass: 'CHEAP' as 'STANDARD' }],
    ['400 InvalidArgument', { ServerSideEncryption: 'rot13' as 'AES256' }],
    ['400 InvalidArgument', { SSEKMSKeyId: KEY }],
    ['400 InvalidTag', { Tagging: Array.from({ length: 11 }, (_, i) => `t${i}=`).join('&') }],
    ['400 InvalidTag', { Tagging: 'a=1&a=2' }],
    ['400 InvalidTag', { Tagging: `a=${'x'.repeat(257)}` }],
  ])('is refused as %s', async (code, kept) => {
    expect(await refusal(s3.put('refused', 'x', kept))).toBe(code);
  });

  it.each(['GLACIER', 'DEEP_ARCHIVE'] as const)(
    'in %s lets it be looked at, but neither read nor copied',
    async (StorageClass) => {
      await s3.put('archived', 'x', { StorageClass });
      expect(await s3.head('archived')).toMatchObject({ StorageClass, ContentLength: 1 });
      expect(await refusal(s3.get('archived'))).toBe('403 InvalidObjectState');
      const copy = new CopyObjectCommand({ Bucket: s3.bucket, Key: 'copy', CopySource: `${s3.bucket}/archived` });
      expect(await refusal(s3.client.send(copy))).toBe('403 InvalidObjectState');
    },
  );
});

describe.runIf(targetKind === 'ours')('a bucket', () => {
  it('is not used for whoever expects it to be another account’s', async () => {
    await s3.put('owned', 'x', { ExpectedBucketOwner: '000000000000' });
    expect(await refusal(s3.put('owned', 'y', { ExpectedBucketOwner: '111111111111' }))).toBe('403 AccessDenied');
    expect(await refusal(s3.get('owned', { ExpectedBucketOwner: '111111111111' }))).toBe('403 AccessDenied');
    const upload = await s3.upload('copied');
    const copy = upload.copy(1, `${s3.bucket}/owned`, { ExpectedSourceBucketOwner: '111111111111' });
    expect(await refusal(copy)).toBe('403 AccessDenied');
    await upload.abort();
  });

  it('knows one who pays: the requester', async () => {
    await s3.put('paid', 'x');
    expect((await s3.get('paid', { RequestPayer: 'requester' })).body.toString()).toBe('x');
    expect(await refusal(s3.get('paid', { RequestPayer: 'owner' as 'requester' }))).toBe('400 InvalidArgument');
  });
});
