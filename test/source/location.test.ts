import { describe, expect, it } from 'vitest';
import { parseLocation } from '../../lib/source/location.ts';

describe('a location', () => {
  it.each([
    ['disk.qcow2'],
    ['./disk.qcow2'],
    ['/vms/a b/disk.qcow2'],
    ['../disk?versionId=1'],
    ['s3:/bucket/key'],
    ['s3'],
    ['./s3://bucket/key'],
    ['c:disk.qcow2'],
    [''],
  ])('%j is a path, as it stands', (path) => {
    expect(parseLocation(path)).toEqual({ kind: 'file', path });
  });

  it.each([
    ['s3://bucket/key', 'bucket', 'key'],
    ['S3://bucket/key', 'bucket', 'key'],
    ['s3://my.bucket-1/vms/disk.qcow2', 'my.bucket-1', 'vms/disk.qcow2'],
    ['s3://bucket//two//slashes/', 'bucket', '/two//slashes/'],
    ['s3://bucket/a/../b', 'bucket', 'a/../b'],
    ['s3://bucket/a b+c%20d', 'bucket', 'a b+c%20d'],
    ['s3://bucket/ü/磁盘#1', 'bucket', 'ü/磁盘#1'],
    ['s3://bucket/two\nlines', 'bucket', 'two\nlines'],
    ['s3://bucket/why?', 'bucket', 'why?'],
    ['s3://bucket/key?other=1', 'bucket', 'key?other=1'],
    ['s3://bucket/s3://other/key', 'bucket', 's3://other/key'],
  ])('%j is an object; nothing in its key is decoded', (text, bucket, key) => {
    expect(parseLocation(text)).toEqual({ kind: 's3', bucket, key });
  });

  it.each([
    ['s3://bucket/key?versionId=3.L4kqtJlcpXroDTDmpUMLUo', 'key', '3.L4kqtJlcpXroDTDmpUMLUo'],
    ['s3://bucket/why?versionId=1?versionId=2', 'why?versionId=1', '2'],
    ['s3://bucket/key?versionId=null', 'key', 'null'],
  ])('%j is one version of an object', (text, key, versionId) => {
    expect(parseLocation(text)).toEqual({ kind: 's3', bucket: 'bucket', key, versionId });
  });

  it('with an empty version means the newest', () => {
    expect(parseLocation('s3://bucket/key?versionId=')).toEqual({ kind: 's3', bucket: 'bucket', key: 'key' });
  });

  it.each(['s3://', 's3://bucket', 's3://bucket/', 's3:///key', 's3://bucket/?versionId=1', 's3://bucket?versionId=1'])(
    '%j names no object',
    (text) => {
      expect(() => parseLocation(text)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
    },
  );

  it.each(['https://host/disk.qcow2', 'file:///disk.qcow2', 'nbd://host', 'json://x', 's3a://bucket/key'])(
    '%j is of another kind, which we do not open',
    (text) => {
      expect(() => parseLocation(text)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
    },
  );
});
