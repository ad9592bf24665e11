import { crc32Value } from '../protocol/body-checks.ts';
import { checkRead, writeCondition } from '../protocol/conditions.ts';
import { parseCopySource } from '../protocol/copy-source.ts';
import { describe } from '../protocol/descriptions.ts';
import { MAX_PUT } from '../protocol/receive.ts';
import { header, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import { blobsOf, digestOf } from '../store/extents.ts';
import { crc32OfExtents } from '../store/extents-crc32.ts';
import type { Held } from '../store/object-index.ts';
import type { Checksum, ObjectRecord } from '../store/records.ts';
import { checksumElements } from './checksum-headers.ts';
import type { Context, Operation } from './operation.ts';
import { storeObject } from './put-object.ts';

/** Makes a manifest that refers to the source's blobs: no data is moved. */
export const copyObject: Operation = async (request, context) => {
  context.store.buckets.get(request.bucket);
  const condition = writeCondition(request);
  const { record: source, release } = await holdSource(request, context);
  try {
    if (source.size > MAX_PUT) throw copySourceTooLarge();
    const { extents, size } = source;
    const checksum = await checksumOfCopy(request, context, source);
    const object = {
      ...descriptionOfCopy(request, source),
      key: request.key,
      size,
      // The MD5 of a single PUT stays true of its copy. That of a multipart object would have to be read for: as with
      // SSE-KMS, the copy's ETag is then 32 hex digits that are no MD5.
      etag: source.etag.includes('-') ? digestOf(extents) : source.etag,
      extents,
      ...(checksum && { checksum }),
    };
    context.store.blobs.retain(blobsOf(extents));
    const copy = await storeObject(context, { cause: 'Copy', bucket: request.bucket, object, condition });
    const result = {
      ETag: `"${copy.etag}"`,
      LastModified: new Date(copy.lastModified).toISOString(),
      ...checksumElements(copy),
    };
    return { status: 200, body: toXml('CopyObjectResult', result) };
  } finally {
    await release();
  }
};

/** The object that `x-amz-copy-source` names. @throws S3Error if it is not there, or `PreconditionFailed` */
export async function holdSource(request: S3Request, { store }: Context): Promise<Held> {
  const { bucket, key } = parseCopySource(request);
  const held = await store.buckets.get(bucket).objects.hold(key);
  try {
    checkRead(request, held.record, 'x-amz-copy-source-');
    return held;
  } catch (error) {
    await held.release();
    throw error;
  }
}

export function copySourceTooLarge(): S3Error {
  const message = `The specified copy source is larger than the maximum allowable size for a copy source: ${MAX_PUT}`;
  return new S3Error('InvalidRequest', message);
}

function descriptionOfCopy(request: S3Request, source: ObjectRecord) {
  const directive = header(request, 'x-amz-metadata-directive') ?? 'COPY';
  if (directive === 'REPLACE') return describe(request);
  if (directive !== 'COPY') throw new S3Error('InvalidArgument', 'Unknown metadata directive.');
  const { bucket, key } = parseCopySource(request);
  if (bucket === request.bucket && key === request.key) {
    throw new S3Error(
      'InvalidRequest',
      'This copy request is illegal because it is trying to copy an object to itself without changing the object’s metadata.',
    );
  }
  return { headers: source.headers, metadata: source.metadata };
}

/** The checksum that is asked for, else the source's, unless it is one of parts, which the copy does not have. */
async function checksumOfCopy(
  request: S3Request,
  { store }: Context,
  source: ObjectRecord,
): Promise<Checksum | undefined> {
  const algorithm =
    header(request, 'x-amz-checksum-algorithm') ?? (source.checksum?.type === 'COMPOSITE' ? 'CRC32' : undefined);
  if (algorithm === undefined || (algorithm === source.checksum?.algorithm && source.checksum.type === 'FULL_OBJECT'))
    return source.checksum;
  if (algorithm !== 'CRC32')
    throw new S3Error('NotImplemented', `Copying with the checksum ${algorithm} is not implemented.`);
  const value = crc32Value(await crc32OfExtents(store.blobs, source.extents));
  return { algorithm: 'CRC32', type: 'FULL_OBJECT', value };
}
