import { CopyObjectCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { refusal } from './support/refusal.ts';
import { useLocalS3 } from './support/use-local-s3.ts';
import { targetKind } from './target.ts';

const KEY = 'a b/ü+';

describe.runIf(targetKind === 'ours')('our server', () => {
  const s3 = useLocalS3();
  const keys = () => s3.events.map(({ Records: [record] }) => record?.s3.object.key);

  /** An object put, copied, and joined from parts. */
  async function makeThree(): Promise<string> {
    const { ETag = '' } = await s3.put(KEY, 'hello');
    const CopySource = `${s3.bucket}/${encodeURIComponent(KEY)}`;
    await s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: 'copied', CopySource }));
    const upload = await s3.upload('joined');
    await upload.complete([await upload.part(1, Buffer.from('part'))]);
    return ETag.replaceAll('"', '');
  }

  it('notifies of each object created, with a form-encoded key', async () => {
    const eTag = await makeThree();
    await expect.poll(() => s3.events.length).toBe(3);
    const records = s3.events.map(({ Records }) => Records[0]);
    expect(records[0]).toMatchObject({
      eventVersion: '2.1',
      eventSource: 'aws:s3',
      awsRegion: 'us-east-1',
      eventName: 'ObjectCreated:Put',
      s3: {
        s3SchemaVersion: '1.0',
        bucket: { name: s3.bucket, arn: `arn:aws:s3:::${s3.bucket}` },
        object: { key: 'a+b/%C3%BC%2B', size: 5, eTag },
      },
    });
    expect(records[0]?.s3.object).not.toHaveProperty('versionId');
    expect(records.map((record) => record?.eventName)).toEqual([
      'ObjectCreated:Put',
      'ObjectCreated:Copy',
      'ObjectCreated:CompleteMultipartUpload',
    ]);
    const sequencers = records.map((record) => record?.s3.object.sequencer);
    expect(sequencers).toEqual([...new Set(sequencers)].sort());
  });

  it('tells EventBridge of the same, with the key as it is', async () => {
    const etag = await makeThree();
    await expect.poll(() => s3.bridged.length).toBe(3);
    expect(s3.bridged[0]).toMatchObject({
      version: '0',
      'detail-type': 'Object Created',
      source: 'aws.s3',
      region: 'us-east-1',
      resources: [`arn:aws:s3:::${s3.bucket}`],
      detail: {
        version: '0',
        bucket: { name: s3.bucket },
        object: { key: KEY, size: 5, etag },
        reason: 'PutObject',
      },
    });
    expect(s3.bridged[0]?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(s3.bridged.map(({ detail }) => detail.reason)).toEqual([
      'PutObject',
      'CopyObject',
      'CompleteMultipartUpload',
    ]);
    const sequencers = s3.bridged.map(({ detail }) => detail.object.sequencer);
    expect(sequencers).toEqual(s3.events.map(({ Records: [record] }) => record?.s3.object.sequencer));
  });

  it('names the version where there are versions', async () => {
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    await s3.client.send(new PutBucketVersioningCommand({ Bucket: s3.bucket, VersioningConfiguration }));
    const { VersionId } = await s3.put('versioned', 'x');
    await expect.poll(() => s3.bridged.length).toBe(1);
    expect(s3.events[0]?.Records[0]?.s3.object.versionId).toBe(VersionId);
    expect(s3.bridged[0]?.detail.object['version-id']).toBe(VersionId);
  });

  it('tells nothing of what was refused', async () => {
    expect(await refusal(s3.put('refused', 'x', { ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' }))).toBe('400 BadDigest');
    await s3.put('accepted', 'x');
    await expect.poll(keys).toEqual(['accepted']);
  });

  it('delivers twice when told to, and the same both times', async () => {
    await s3.restart({ eventDelivery: { duplicated: true } });
    for (const key of ['1', '2']) await s3.put(key, 'x');
    await expect.poll(() => [keys(), s3.bridged.length]).toEqual([['1', '1', '2', '2'], 4]);
    expect(s3.events[0]).toEqual(s3.events[1]);
    expect(s3.bridged[0]).toEqual(s3.bridged[1]);
  });

  it('delivers out of order when told to, but nothing less', async () => {
    await s3.restart({ eventDelivery: { reordered: true } });
    const put = Array.from({ length: 50 }, (_, i) => String(i).padStart(2, '0'));
    await Promise.all(put.map((key) => s3.put(key, 'x')));
    await expect.poll(() => keys().sort()).toEqual(put);
    const sequencers = s3.events.map(({ Records: [record] }) => record?.s3.object.sequencer);
    expect(sequencers).not.toEqual([...sequencers].sort());
  });

  it('delivers what it held back when it closes', async () => {
    await s3.restart({ eventDelivery: { reordered: true, duplicated: true } });
    await s3.put('last', 'x');
    await s3.restart();
    expect(keys()).toEqual(['last', 'last']);
  });
});
