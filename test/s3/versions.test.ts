import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandInput,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { beforeAll, describe, expect } from 'vitest';
import { bytes, MIN_PART } from './support/bytes.ts';
import { refusal, statusOf } from './support/refusal.ts';
import { rule } from './support/rule.ts';
import { send } from './support/send.ts';
import { useS3 } from './support/use-s3.ts';

const s3 = useS3();

const setVersioning = (Status: 'Enabled' | 'Suspended') =>
  s3.client.send(new PutBucketVersioningCommand({ Bucket: s3.bucket, VersioningConfiguration: { Status } }));
const remove = (Key: string, VersionId?: string) =>
  s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key, VersionId }));
const list = (input: Partial<ListObjectVersionsCommandInput> = {}) =>
  s3.client.send(new ListObjectVersionsCommand({ Bucket: s3.bucket, ...input }));
const text = async (key: string, VersionId?: string) => (await s3.get(key, { VersionId })).body.toString();

beforeAll(async () => {
  await s3.put('before', 'older than versioning');
  await setVersioning('Enabled').catch(() => {}); // where it fails, the rules tell
});

describe('a bucket with versioning', () => {
  rule('says that it is enabled', 'API_GetBucketVersioning', async () => {
    const { Status } = await s3.client.send(new GetBucketVersioningCommand({ Bucket: s3.bucket }));
    expect(Status).toBe('Enabled');
  });

  rule('gives each object put a version id', 'userguide/AddingObjectstoVersioningEnabledBuckets', async () => {
    const [one, two] = [await s3.put('put', '1'), await s3.put('put', '2')];
    expect(one.VersionId).toMatch(/^\S{4,}$/);
    expect(two.VersionId).not.toBe(one.VersionId);
    expect((await s3.get('put')).VersionId).toBe(two.VersionId);
    expect((await s3.head('put')).VersionId).toBe(two.VersionId);
  });

  rule('keeps what is replaced', 'userguide/RetrievingObjectVersions', async () => {
    const { VersionId } = await s3.put('kept', 'first');
    await s3.put('kept', 'second, and longer');
    expect([await text('kept'), await text('kept', VersionId)]).toEqual(['second, and longer', 'first']);
    expect((await s3.head('kept', { VersionId })).ContentLength).toBe(5);
    expect((await s3.get('kept', { VersionId, Range: 'bytes=1-2' })).body.toString()).toBe('ir');
  });

  rule('knows what is older than versioning as null', 'userguide/AddingObjectstoVersioningEnabledBuckets', async () => {
    expect((await s3.head('before')).VersionId).toBe('null');
    await s3.put('before', 'newer');
    expect(await text('before', 'null')).toBe('older than versioning');
  });

  rule('answers NoSuchVersion for an id of no version', 'error NoSuchVersion', async () => {
    const { VersionId = '' } = await s3.put('other', 'x');
    await s3.put('known', 'x');
    expect(await refusal(s3.get('known', { VersionId }))).toBe('404 NoSuchVersion');
  });

  rule('gives the version of a completed upload', 'API_CompleteMultipartUpload', async () => {
    const upload = await s3.upload('completed');
    const { VersionId } = await upload.complete([await upload.part(1, Buffer.from('x'))]);
    expect(VersionId ?? '').toMatch(/^\S{4,}$/);
    expect((await s3.head('completed')).VersionId).toBe(VersionId);
  });

  rule('pins a read by ETag to the version', 'userguide/conditional-reads', async () => {
    const { VersionId, ETag } = await s3.put('pinned', 'first');
    await s3.put('pinned', 'second');
    expect(await refusal(s3.get('pinned', { IfMatch: ETag }))).toBe('412 PreconditionFailed');
    expect((await s3.get('pinned', { IfMatch: ETag, VersionId })).body.toString()).toBe('first');
  });
});

describe('deleting where there is versioning', () => {
  rule('puts a delete marker on top', 'userguide/DeleteMarker', async () => {
    const { VersionId } = await s3.put('marked', 'x');
    const { DeleteMarker, VersionId: marker } = await remove('marked');
    expect([DeleteMarker, marker === VersionId]).toEqual([true, false]);
    expect(await refusal(s3.get('marked'))).toBe('404 NoSuchKey');
    expect(await statusOf(s3.head('marked'))).toBe(404);
    expect(await text('marked', VersionId)).toBe('x');
  });

  rule('hides the key from a plain list', 'userguide/DeleteMarker', async () => {
    await s3.put('hidden/1', 'x');
    await s3.put('hidden/2', 'x');
    await remove('hidden/1');
    const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: s3.bucket, Prefix: 'hidden/' }));
    expect(Contents.map(({ Key }) => Key)).toEqual(['hidden/2']);
  });

  rule('says so on what is not there any more', 'userguide/ManagingDelMarkers', async () => {
    await s3.put('said', 'x');
    const { VersionId } = await remove('said');
    const { status, headers } = await send(s3.target, { method: 'GET', path: `/${s3.bucket}/said` });
    expect([status, headers['x-amz-delete-marker'], headers['x-amz-version-id']]).toEqual([404, 'true', VersionId]);
  });

  rule('makes markers that cannot be read: MethodNotAllowed', 'error MethodNotAllowed', async () => {
    await s3.put('unreadable', 'x');
    const { VersionId } = await remove('unreadable');
    expect(await refusal(s3.get('unreadable', { VersionId }))).toBe('405 MethodNotAllowed');
  });

  rule('makes markers even for what was never there', 'userguide/DeletingObjectVersions', async () => {
    expect((await remove('never')).DeleteMarker).toBe(true);
    expect((await list({ Prefix: 'never' })).DeleteMarkers).toMatchObject([{ Key: 'never', IsLatest: true }]);
  });

  rule('a marker brings the object back', 'userguide/ManagingDelMarkers', async () => {
    await s3.put('back', 'again');
    const { VersionId } = await remove('back');
    const { DeleteMarker } = await remove('back', VersionId);
    expect(DeleteMarker).toBe(true);
    expect(await text('back')).toBe('again');
  });

  rule('a version is for ever, and leaves the others', 'userguide/DeletingObjectVersions', async () => {
    const [first, second] = [await s3.put('gone', 'first'), await s3.put('gone', 'second')];
    await remove('gone', second.VersionId);
    expect(await text('gone')).toBe('first');
    expect(await refusal(s3.get('gone', { VersionId: second.VersionId }))).toBe('404 NoSuchVersion');
    await remove('gone', first.VersionId);
    expect((await list({ Prefix: 'gone' })).Versions ?? []).toEqual([]);
  });

  rule('many at once names the markers made, and removes versions', 'API_DeleteObjects', async () => {
    const { VersionId } = await s3.put('many/1', 'x');
    await s3.put('many/2', 'x');
    const Objects = [{ Key: 'many/1', VersionId }, { Key: 'many/2' }];
    const { Deleted = [] } = await s3.client.send(
      new DeleteObjectsCommand({ Bucket: s3.bucket, Delete: { Objects }, ChecksumAlgorithm: 'CRC32' }),
    );
    expect(Deleted.find(({ Key }) => Key === 'many/1')).toMatchObject({ VersionId });
    expect(Deleted.find(({ Key }) => Key === 'many/2')).toMatchObject({ DeleteMarker: true });
    const { Versions = [], DeleteMarkers = [] } = await list({ Prefix: 'many/' });
    expect([Versions.map(({ Key }) => Key), DeleteMarkers.map(({ Key }) => Key)]).toEqual([['many/2'], ['many/2']]);
  });
});

describe('copying where there is versioning', () => {
  rule('takes the version that is named, and says which', 'API_CopyObject', async () => {
    const { VersionId } = await s3.put('source', 'first');
    await s3.put('source', 'second');
    const CopySource = `${s3.bucket}/source?versionId=${VersionId}`;
    const copied = await s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: 'copy', CopySource }));
    expect(copied.CopySourceVersionId).toBe(VersionId);
    expect(await text('copy')).toBe('first');
  });

  rule('a part takes the version that is named', 'API_UploadPartCopy', async () => {
    const data = bytes(MIN_PART + 100, 60);
    const { VersionId } = await s3.put('part-source', data);
    await s3.put('part-source', 'second');
    const upload = await s3.upload('part-copy');
    const range = { CopySourceRange: 'bytes=1-5' };
    await upload.complete([await upload.copy(1, `${s3.bucket}/part-source?versionId=${VersionId}`, range)]);
    expect((await s3.get('part-copy')).body.equals(data.subarray(1, 6))).toBe(true);
  });

  rule('a deleted object is NoSuchKey', 'API_CopyObject', async () => {
    await s3.put('deleted-source', 'x');
    await remove('deleted-source');
    const CopySource = `${s3.bucket}/deleted-source`;
    const copy = s3.client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: 'copy', CopySource }));
    expect(await refusal(copy)).toBe('404 NoSuchKey');
  });
});

describe('versions, listed,', () => {
  rule('are those of each key, the newest first', 'API_ListObjectVersions', async () => {
    const ids = [await s3.put('listed/a', '1'), await s3.put('listed/a', '22'), await s3.put('listed/b', '333')].map(
      ({ VersionId }) => VersionId,
    );
    const marker = await remove('listed/b');
    const { Versions, DeleteMarkers } = await list({ Prefix: 'listed/' });
    expect(Versions).toMatchObject([
      { Key: 'listed/a', VersionId: ids[1], IsLatest: true, Size: 2 },
      { Key: 'listed/a', VersionId: ids[0], IsLatest: false, Size: 1 },
      { Key: 'listed/b', VersionId: ids[2], IsLatest: false, Size: 3 },
    ]);
    expect(DeleteMarkers).toMatchObject([{ Key: 'listed/b', VersionId: marker.VersionId, IsLatest: true }]);
  });

  rule('come in pages', 'API_ListObjectVersions', async () => {
    for (const key of ['paged/a', 'paged/a', 'paged/a', 'paged/b', 'paged/c']) await s3.put(key, key);
    const found: (string | undefined)[] = [];
    let markers: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {};
    for (let more = true; more; ) {
      const page = await list({ Prefix: 'paged/', MaxKeys: 2, ...markers });
      expect(page.Versions?.length ?? 0).toBeLessThanOrEqual(2);
      found.push(...(page.Versions ?? []).map(({ Key }) => Key));
      more = page.IsTruncated === true;
      markers = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    }
    expect(found).toEqual(['paged/a', 'paged/a', 'paged/a', 'paged/b', 'paged/c']);
  });

  rule('are rolled up where they lie deeper', 'API_ListObjectVersions', async () => {
    for (const key of ['rolled/1', 'rolled/deep/1', 'rolled/deep/2']) await s3.put(key, key);
    const { Versions = [], CommonPrefixes = [] } = await list({ Prefix: 'rolled/', Delimiter: '/' });
    expect(Versions.map(({ Key }) => Key)).toEqual(['rolled/1']);
    expect(CommonPrefixes.map(({ Prefix }) => Prefix)).toEqual(['rolled/deep/']);
  });
});

// The last: what comes after it finds versioning suspended.
describe('a bucket whose versioning is suspended', () => {
  rule('puts null versions, one a key, and keeps the others', 'userguide/VersionSuspendedBehavior', async () => {
    const { VersionId } = await s3.put('suspended', 'kept');
    await setVersioning('Suspended');
    await s3.put('suspended', 'null one');
    await s3.put('suspended', 'null two');
    expect((await s3.get('suspended')).VersionId).toBe('null');
    expect([await text('suspended'), await text('suspended', VersionId)]).toEqual(['null two', 'kept']);
    expect((await list({ Prefix: 'suspended' })).Versions).toHaveLength(2);
  });

  rule(
    'deletes the null version, and puts a null delete marker',
    'userguide/DeletingObjectsfromVersioningSuspendedBuckets',
    async () => {
      await setVersioning('Suspended');
      await s3.put('null-deleted', 'x');
      const { DeleteMarker, VersionId } = await remove('null-deleted');
      expect([DeleteMarker, VersionId]).toEqual([true, 'null']);
      expect((await list({ Prefix: 'null-deleted' })).Versions ?? []).toEqual([]);
      expect(await refusal(s3.get('null-deleted'))).toBe('404 NoSuchKey');
    },
  );

  rule('refuses any other status', 'API_PutBucketVersioning', async () => {
    const body = '<VersioningConfiguration><Status>Sometimes</Status></VersioningConfiguration>';
    const { status } = await send(s3.target, {
      method: 'PUT',
      path: `/${s3.bucket}`,
      query: { versioning: '' },
      body,
    });
    expect(status).toBe(400);
  });
});
