import { ListObjectsCommand, type ListObjectsCommandInput, ListObjectsV2Command } from '@aws-sdk/client-s3';
import pMap from 'p-map';
import { beforeAll, describe, expect } from 'vitest';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();
const keys = ['a', 'b/1', 'b/2', 'b/c/3', 'c', 'd e/+'];

beforeAll(async () => {
  for (const key of keys) await s3.put(key, key);
});

const list = (input: Partial<ListObjectsCommandInput> = {}) =>
  s3.client.send(new ListObjectsCommand({ Bucket: s3.bucket, ...input }));

describe('ListObjects', () => {
  rule('of version 1 names all keys, with their owner', 'API_ListObjects', async () => {
    const { Contents = [], IsTruncated } = await list();
    expect([Contents.map(({ Key }) => Key), IsTruncated]).toEqual([keys, false]);
    expect(Contents[0]?.Owner?.ID).toBeTruthy();
  });

  rule('of version 1 goes on after its marker', 'API_ListObjects', async () => {
    const { Contents = [] } = await list({ Marker: 'b/1' });
    expect(Contents.map(({ Key }) => Key)).toEqual(keys.slice(2));
  });

  rule('of version 1 names the next marker if there is a delimiter', 'API_ListObjects', async () => {
    const first = await list({ Delimiter: '/', MaxKeys: 2 });
    expect([first.IsTruncated, first.NextMarker]).toEqual([true, 'b/']);
    const next = await list({ Delimiter: '/', MaxKeys: 2, Marker: first.NextMarker });
    expect(next.Contents?.map(({ Key }) => Key)).toEqual(['c']);
    expect(next.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['d e/']);
  });

  rule('of version 1 without a delimiter leaves the next marker out', 'API_ListObjects', async () => {
    const { IsTruncated, NextMarker } = await list({ MaxKeys: 2 });
    expect([IsTruncated, NextMarker]).toEqual([true, undefined]);
  });

  rule('refuses another encoding than url', 'API_ListObjectsV2', async () => {
    const query = { 'list-type': '2', 'encoding-type': 'base64' };
    expect((await send(s3.target, { method: 'GET', path: `/${s3.bucket}`, query })).summary).toBe(
      '400 InvalidArgument',
    );
  });

  rule('refuses an empty continuation token', 'API_ListObjectsV2', async () => {
    const query = { 'list-type': '2', 'continuation-token': '' };
    expect((await send(s3.target, { method: 'GET', path: `/${s3.bucket}`, query })).summary).toBe(
      '400 InvalidArgument',
    );
  });

  rule('gives the owner only when asked to', 'API_ListObjectsV2', async () => {
    const ask = async (FetchOwner?: boolean) =>
      (await s3.client.send(new ListObjectsV2Command({ Bucket: s3.bucket, FetchOwner }))).Contents?.[0]?.Owner;
    expect(await ask()).toBeUndefined();
    expect((await ask(true))?.ID).toBeTruthy();
  });

  rule('names at most 1,000 keys a page, whatever is asked for', 'API_ListObjectsV2', async () => {
    const names = Array.from({ length: 1003 }, (_, i) => `page/${String(i).padStart(4, '0')}`);
    await pMap(names, (name) => s3.put(name, ''), { concurrency: 16 });
    const input = { Bucket: s3.bucket, Prefix: 'page/', MaxKeys: 5000 };
    const first = await s3.client.send(new ListObjectsV2Command(input));
    expect([first.KeyCount, first.IsTruncated]).toEqual([1000, true]);
    const ContinuationToken = first.NextContinuationToken;
    const second = await s3.client.send(new ListObjectsV2Command({ ...input, ContinuationToken }));
    expect([...(first.Contents ?? []), ...(second.Contents ?? [])].map(({ Key }) => Key)).toEqual(names);
  });
});
