import { ListObjectsV2Command, type ListObjectsV2CommandInput } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect } from 'vitest';
import { refusal } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();
const keys = ['a', 'b/1', 'b/2', 'b/c/3', 'c', 'd e/+', '\u{e000}', '\u{1f642}'];

beforeAll(async () => {
  for (const key of [...keys].reverse()) await s3.put(key, key);
});

const list = (input: Partial<ListObjectsV2CommandInput> = {}) =>
  s3.client.send(new ListObjectsV2Command({ Bucket: s3.bucket, ...input }));
const namesOf = async (input: Partial<ListObjectsV2CommandInput> = {}) => {
  const { Contents = [], CommonPrefixes = [] } = await list(input);
  return { keys: Contents.map(({ Key }) => Key), prefixes: CommonPrefixes.map(({ Prefix }) => Prefix) };
};

describe('ListObjectsV2', () => {
  rule('names all keys in the order of their UTF-8 bytes', 'API_ListObjectsV2', async () => {
    expect((await namesOf()).keys).toEqual(keys);
  });

  rule('gives size, ETag and time of each', 'API_ListObjectsV2', async () => {
    const { Contents, KeyCount, IsTruncated, Name } = await list({ Prefix: 'a' });
    expect(Contents).toMatchObject([{ Key: 'a', Size: 1, ETag: '"0cc175b9c0f1b6a831c399e269772661"' }]);
    expect({ KeyCount, IsTruncated, Name }).toEqual({ KeyCount: 1, IsTruncated: false, Name: s3.bucket });
  });

  rule('with a prefix names only keys that start with it', 'API_ListObjectsV2', async () => {
    expect((await namesOf({ Prefix: 'b/' })).keys).toEqual(['b/1', 'b/2', 'b/c/3']);
    expect((await namesOf({ Prefix: 'z' })).keys).toEqual([]);
  });

  rule('with a delimiter rolls up what lies deeper', 'API_ListObjectsV2', async () => {
    expect(await namesOf({ Delimiter: '/' })).toEqual({
      keys: ['a', 'c', '\u{e000}', '\u{1f642}'],
      prefixes: ['b/', 'd e/'],
    });
    expect(await namesOf({ Delimiter: '/', Prefix: 'b/' })).toEqual({ keys: ['b/1', 'b/2'], prefixes: ['b/c/'] });
  });

  rule('comes in pages of max-keys', 'API_ListObjectsV2', async () => {
    for (const Delimiter of [undefined, '/']) {
      const paged: (string | undefined)[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = await list({ MaxKeys: 2, ContinuationToken, Delimiter });
        const names = [
          ...(page.Contents ?? []).map(({ Key }) => Key),
          ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
        ];
        expect(names.length).toBe(page.KeyCount);
        expect(names.length).toBeLessThanOrEqual(2);
        paged.push(...names);
        ContinuationToken = page.NextContinuationToken;
        expect(page.IsTruncated ?? false).toBe(ContinuationToken !== undefined);
      } while (ContinuationToken !== undefined);
      const whole = await namesOf({ Delimiter });
      expect([...paged].sort()).toEqual([...whole.keys, ...whole.prefixes].sort());
    }
  });

  rule('with start-after begins after that key, which need not exist', 'API_ListObjectsV2', async () => {
    expect((await namesOf({ StartAfter: 'b/2', Prefix: 'b' })).keys).toEqual(['b/c/3']);
    expect((await namesOf({ StartAfter: 'b/11', Prefix: 'b' })).keys).toEqual(['b/2', 'b/c/3']);
  });

  rule('with max-keys 0 names nothing', 'API_ListObjectsV2', async () => {
    const { Contents = [], IsTruncated } = await list({ MaxKeys: 0 });
    expect([Contents, IsTruncated]).toEqual([[], false]);
  });

  rule('with encoding-type url encodes keys and prefixes', 'API_ListObjectsV2', async () => {
    const decode = (text = '') => decodeURIComponent(text.replaceAll('+', ' '));
    const { Contents = [], EncodingType } = await list({ EncodingType: 'url', Prefix: 'd e' });
    expect(EncodingType).toBe('url');
    expect(Contents.map(({ Key }) => Key)).not.toEqual(['d e/+']);
    expect(Contents.map(({ Key }) => decode(Key))).toEqual(['d e/+']);
  });

  rule('of a bucket that does not exist is NoSuchBucket', 'error NoSuchBucket', async () => {
    expect(await refusal(list({ Bucket: 'unqcow-no-such-bucket' }))).toBe('404 NoSuchBucket');
  });
});
