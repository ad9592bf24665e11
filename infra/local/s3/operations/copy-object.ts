import { checkRead } from '../protocol/conditions.ts';
import { parseCopySource } from '../protocol/copy-source.ts';
import { describe } from '../protocol/descriptions.ts';
import { checkReadable, keepingOf } from '../protocol/keeping.ts';
import { MAX_PUT } from '../protocol/receive.ts';
import { header, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import { blobsOf, digestOf } from '../store/extents.ts';
import { checksumOfExtents } from '../store/extents-checksum.ts';
import type { Held } from '../store/object-index.ts';
import type { Checksum, ObjectContent, ObjectRecord } from '../store/records.ts';
import { checksumElements } from './checksum-headers.ts';
import { algorithmNamed } from './object-checksum.ts';
import type { Context, Operation } from './operation.ts';
import { storeObject, watching } from './put-object.ts';
import { versionHeaders } from './version-headers.ts';

/** Makes a manifest that refers to the source's blobs: no data is moved. */
export const copyObject: Operation = async (request, context) => {
  const { versioning } = context.store.buckets.get(request.bucket);
  return watching(request, context, async (condition) => {
    const { record: source, release } = await holdSource(request, context);
    try {
      const object = await contentOfCopy(request, context, source);
      context.store.blobs.retain(blobsOf(object.extents));
      const copy = await storeObject(context, { cause: 'Copy', request, object, condition });
      const result = {
        ETag: `"${copy.etag}"`,
        LastModified: new Date(copy.lastModified).toISOString(),
        ...checksumElements(copy),
      };
      const headers = { ...versionHeaders(copy, versioning), ...sourceVersion(request, context, source) };
      return { status: 200, headers, body: toXml('CopyObjectResult', result) };
    } finally {
      await release();
    }
  });
};

async function contentOfCopy(request: S3Request, context: Context, source: ObjectRecord): Promise<ObjectContent> {
  if (source.size > MAX_PUT) throw copySourceTooLarge();
  const { extents, size, etag } = source;
  const checksum = await checksumOfCopy(request, context, source);
  return {
    ...descriptionOfCopy(request, source),
    key: request.key,
    size,
    // The MD5 of a single PUT stays true of its copy. That of a multipart object would have to be read for: as with
    // SSE-KMS, the copy's ETag is then 32 hex digits that are no MD5.
    etag: etag.includes('-') ? digestOf(extents) : etag,
    extents,
    ...(checksum && { checksum }),
  };
}

/** Which version was copied, where there are versions. */
export function sourceVersion(
  request: S3Request,
  { store }: Context,
  { versionId }: ObjectRecord,
): Record<string, string> {
  const { versioning } = store.buckets.get(parseCopySource(request).bucket);
  return versioning === undefined ? {} : { 'x-amz-copy-source-version-id': versionId };
}

/** The object that `x-amz-copy-source` names. @throws S3Error if it is not there, or `PreconditionFailed` */
export async function holdSource(request: S3Request, { store }: Context): Promise<Held> {
  const { bucket, key, versionId } = parseCopySource(request);
  const held = await store.buckets.get(bucket).objects.hold(key, versionId);
  try {
    checkRead(request, held.record, 'x-amz-copy-source-');
    checkReadable(held.record.keeping);
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
  const { bucket, key, versionId } = parseCopySource(request);
  if (bucket === request.bucket && key === request.key && versionId === undefined) {
    throw new S3Error(
      'InvalidRequest',
      'This copy request is illegal because it is trying to copy an object to itself without changing the object’s metadata.',
    );
  }
  const { tags = {} } = source.keeping ?? {};
  // Tags go with a copy; class and encryption are the new object's own.
  return { headers: source.headers, metadata: source.metadata, keeping: { ...keepingOf(request), tags } };
}

/** Of the algorithm that is asked for, else of the source's; always that of the whole object. */
async function checksumOfCopy(
  request: S3Request,
  { store }: Context,
  source: ObjectRecord,
): Promise<Checksum | undefined> {
  const asked = header(request, 'x-amz-checksum-algorithm')?.toUpperCase();
  const algorithm = asked === undefined ? source.checksum?.algorithm : algorithmNamed(asked);
  if (algorithm === undefined) return undefined;
  if (algorithm === source.checksum?.algorithm && source.checksum.type === 'FULL_OBJECT') return source.checksum;
  return { algorithm, type: 'FULL_OBJECT', value: await checksumOfExtents(store.blobs, source.extents, algorithm) };
}
