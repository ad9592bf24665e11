import { randomUUID } from 'node:crypto';
import { writeCondition } from '../protocol/conditions.ts';
import { describe } from '../protocol/descriptions.ts';
import { receiveBlob } from '../protocol/receive.ts';
import { blobsOf } from '../store/extents.ts';
import type { WriteCondition } from '../store/object-index.ts';
import type { ObjectRecord } from '../store/records.ts';
import { checksumHeaders } from './checksum-headers.ts';
import type { Cause, Context, Operation } from './operation.ts';

export const putObject: Operation = async (request, context) => {
  context.store.buckets.get(request.bucket);
  const condition = writeCondition(request);
  const description = describe(request);
  const { extents, size, md5, checksum } = await receiveBlob(request, context.store.blobs);
  const object = {
    ...description,
    key: request.key,
    size,
    etag: md5,
    extents,
    ...(checksum && { checksum: { ...checksum, type: 'FULL_OBJECT' as const } }),
  };
  const record = await storeObject(context, { cause: 'Put', bucket: request.bucket, object, condition });
  return { status: 200, headers: { ETag: `"${md5}"`, ...checksumHeaders(record) } };
};

/**
 * Puts a new object in place and tells of it. The references to its blobs pass to the bucket, or are given up if it fails.
 * @throws S3Error `NoSuchBucket`, and what the condition throws
 */
export async function storeObject(
  { store, created }: Context,
  {
    cause,
    bucket,
    object,
    condition,
  }: {
    readonly cause: Cause;
    readonly bucket: string;
    readonly object: Omit<ObjectRecord, 'version' | 'lastModified'>;
    readonly condition: WriteCondition;
  },
): Promise<ObjectRecord> {
  const record: ObjectRecord = { ...object, version: randomUUID(), lastModified: Date.now() };
  try {
    await store.buckets.get(bucket).objects.put(record, condition);
  } catch (error) {
    await store.blobs.release(blobsOf(object.extents));
    throw error;
  }
  created(cause, bucket, record);
  return record;
}
