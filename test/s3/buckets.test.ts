import { randomUUID } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetBucketLocationCommand,
  HeadBucketCommand,
  ListBucketsCommand,
} from '@aws-sdk/client-s3';
import { describe, expect } from 'vitest';
import { refusal, statusOf } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();

describe('a bucket', () => {
  rule('is listed, and answers HEAD', 'API_ListBuckets', async () => {
    const { Buckets = [] } = await s3.client.send(new ListBucketsCommand({}));
    expect(Buckets.map(({ Name }) => Name)).toContain(s3.bucket);
    expect(await statusOf(s3.client.send(new HeadBucketCommand({ Bucket: s3.bucket })))).toBe(200);
  });

  rule('in us-east-1 has no location constraint', 'API_GetBucketLocation', async () => {
    const { LocationConstraint } = await s3.client.send(new GetBucketLocationCommand({ Bucket: s3.bucket }));
    expect(LocationConstraint ?? '').toBe('');
  });

  rule('that does not exist is 404', 'error NoSuchBucket', async () => {
    const Bucket = 'unqcow-no-such-bucket';
    expect(await statusOf(s3.client.send(new HeadBucketCommand({ Bucket })))).toBe(404);
    expect(await refusal(s3.client.send(new DeleteBucketCommand({ Bucket })))).toBe('404 NoSuchBucket');
  });

  rule('made twice is BucketAlreadyOwnedByYou', 'error BucketAlreadyOwnedByYou', async () => {
    expect(await refusal(s3.client.send(new CreateBucketCommand({ Bucket: s3.bucket })))).toBe(
      '409 BucketAlreadyOwnedByYou',
    );
  });

  rule('needs a valid name', 'userguide/bucketnamingrules', async () => {
    for (const Bucket of ['Upper-Case', 'under_score', 'a..b', 'x']) {
      expect(await refusal(s3.client.send(new CreateBucketCommand({ Bucket })))).toBe('400 InvalidBucketName');
    }
  });

  rule('with objects cannot be deleted; empty it can', 'error BucketNotEmpty', async () => {
    const Bucket = `unqcow-test-${randomUUID().slice(0, 13)}`;
    await s3.client.send(new CreateBucketCommand({ Bucket }));
    await s3.put('held', 'x', { Bucket });
    expect(await refusal(s3.client.send(new DeleteBucketCommand({ Bucket })))).toBe('409 BucketNotEmpty');
    await s3.client.send(new DeleteObjectCommand({ Bucket, Key: 'held' }));
    await s3.client.send(new DeleteBucketCommand({ Bucket }));
    expect(await statusOf(s3.client.send(new HeadBucketCommand({ Bucket })))).toBe(404);
  });
});
