import { writeCondition } from '../protocol/conditions.ts';
import { describe } from '../protocol/descriptions.ts';
import { encryptionHeaders, etagOf } from '../protocol/keeping.ts';
import { receiveBlob } from '../protocol/receive.ts';
import type { S3Request } from '../protocol/request.ts';
import { blobsOf } from '../store/extents.ts';
import type { WriteCondition } from '../store/object-index.ts';
import type { ObjectContent, ObjectRecord } from '../store/records.ts';
import { checksumHeaders } from './checksum-headers.ts';
import type { Cause, Context, Operation } from './operation.ts';
import { versionHeaders } from './version-headers.ts';

export const putObject: Operation = async (request, context) => {
  const { versioning } = context.store.buckets.get(request.bucket);
  const description = describe(request);
  return watching(request, context, async (condition) => {
    const { extents, size, md5, checksum } = await receiveBlob(request, context.store.blobs);
    const etag = etagOf(md5, description.keeping);
    const object = {
      ...description,
      key: request.key,
      size,
      etag,
      extents,
      ...(checksum && { checksum: { ...checksum, type: 'FULL_OBJECT' as const } }),
    };
    const record = await storeObject(context, { cause: 'Put', request, object, condition });
    const headers = { ETag: `"${etag}"`, ...checksumHeaders(record), ...versionHeaders(record, versioning) };
    Object.assign(headers, encryptionHeaders(description.keeping));
    return { status: 200, headers };
  });
};

/** Does a write with the request's conditions on it, which also look at what happens to the key until it is done. */
export async function watching<T>(
  request: S3Request,
  { store }: Context,
  write: (condition: WriteCondition) => Promise<T>,
): Promise<T> {
  const watch = store.buckets.get(request.bucket).objects.deletions.watch(request.key);
  try {
    return await write(writeCondition(request, () => watch.happened));
  } finally {
    watch.end();
  }
}

/**
 * Puts a new object in place and tells of it. The references to its blobs pass to the bucket, or are given up if it fails.
 * @throws S3Error `NoSuchBucket`, and what the condition throws
 */
export async function storeObject(
  { store, created }: Context,
  {
    cause,
    request,
    object,
    condition,
  }: {
    readonly cause: Cause;
    readonly request: S3Request;
    readonly object: ObjectContent;
    readonly condition: WriteCondition;
  },
): Promise<ObjectRecord> {
  try {
    const { objects, versioning } = store.buckets.get(request.bucket);
    const record = await objects.put(object, versioning, condition);
    created({
      cause,
      object: record,
      bucket: request.bucket,
      requestId: request.id,
      isVersioned: versioning !== undefined,
    });
    return record;
  } catch (error) {
    await store.blobs.release(blobsOf(object.extents));
    throw error;
  }
}
