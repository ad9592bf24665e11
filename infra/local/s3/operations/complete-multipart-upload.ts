import { createHash } from 'node:crypto';
import { MiB } from '../../../../lib/units.ts';
import { encryptionHeaders } from '../protocol/keeping.ts';
import { parseXml } from '../protocol/parse-xml.ts';
import { receiveText } from '../protocol/receive.ts';
import { header, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import { blobsOf, concatenate } from '../store/extents.ts';
import type { Checksum, ObjectRecord, PartSummary } from '../store/records.ts';
import type { Upload } from '../store/uploads.ts';
import { checksumElements } from './checksum-headers.ts';
import { chooseParts, parseParts } from './completed-parts.ts';
import { uploadOf } from './multipart-uploads.ts';
import { checkObjectChecksum, checksumOfParts } from './object-checksum.ts';
import type { Context, Operation } from './operation.ts';
import { storeObject, watching } from './put-object.ts';
import { versionHeaders } from './version-headers.ts';

/** 10,000 parts with every element that S3 knows take about 6 MiB. */
const MAX_BODY = 8 * MiB;

/**
 * Makes the object, by reference to the parts' blobs, and ends the upload. Nothing changes if any check fails. A second
 * Complete finds no upload.
 */
export const completeMultipartUpload: Operation = async (request, context) => {
  const upload = uploadOf(request, context);
  const { versioning } = context.store.buckets.get(request.bucket);
  const record = await watching(request, context, async (condition) => {
    const text = await receiveText(completionBody(request), MAX_BODY);
    const listed = parseParts(parseXml(text, 'CompleteMultipartUpload', ['Part']));
    let made: ObjectRecord | undefined;
    await context.store.uploads.finish(upload, async () => {
      const parts = chooseParts(upload, listed);
      checkSize(request, parts);
      const checksum = upload.checksum && (await checksumOfParts(upload.checksum, parts));
      checkObjectChecksum(request, checksum);
      const object = await assemble(context, upload, parts, checksum);
      made = await storeObject(context, { cause: 'CompleteMultipartUpload', request, object, condition });
    });
    return made;
  });
  if (record === undefined) throw new S3Error('InternalError');
  const result = {
    Location: `http://${header(request, 'host')}${request.path}`,
    Bucket: upload.bucket,
    Key: upload.key,
    ETag: `"${record.etag}"`,
    ...checksumElements(record),
  };
  const headers = { ...versionHeaders(record, versioning), ...encryptionHeaders(upload.keeping) };
  return { status: 200, headers, body: toXml('CompleteMultipartUploadResult', result) };
};

/** The checksum headers of this request speak of the object, not of the body, unlike those of all others. */
function completionBody(request: S3Request): S3Request {
  const headers = Object.entries(request.headers).filter(([name]) => !name.startsWith('x-amz-checksum-'));
  return { ...request, headers: Object.fromEntries(headers) };
}

function checkSize(request: S3Request, parts: readonly PartSummary[]): void {
  const expected = header(request, 'x-amz-mp-object-size');
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (expected === undefined || expected === String(size)) return;
  const message = `The provided 'x-amz-mp-object-size' header does not match what was computed.`;
  throw new S3Error('InvalidRequest', message, { details: { Expected: expected, Computed: String(size) } });
}

async function assemble(
  { store }: Context,
  upload: Upload,
  parts: readonly PartSummary[],
  checksum: Checksum | undefined,
) {
  const records = await store.uploads.records(
    upload,
    parts.map(({ number }) => number),
  );
  const extents = concatenate(records.map((record) => record.extents));
  const md5s = parts.map(({ etag }) => Buffer.from(etag, 'hex'));
  store.blobs.retain(blobsOf(extents));
  return {
    key: upload.key,
    headers: upload.headers,
    metadata: upload.metadata,
    ...(upload.keeping ? { keeping: upload.keeping } : {}),
    size: parts.reduce((sum, { size }) => sum + size, 0),
    etag: `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${parts.length}`,
    uploadId: upload.id,
    extents,
    ...(checksum && { checksum }),
  };
}
