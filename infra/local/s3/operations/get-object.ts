import type { ByteRange } from '../../../../lib/ranges.ts';
import { checkRead } from '../protocol/conditions.ts';
import { descriptionHeaders } from '../protocol/descriptions.ts';
import { checkReadable } from '../protocol/keeping.ts';
import { parseRange } from '../protocol/ranges.ts';
import { header, type S3Request } from '../protocol/request.ts';
import { slice } from '../store/extents.ts';
import type { ObjectRecord, Versioning } from '../store/records.ts';
import { checksumHeaders } from './checksum-headers.ts';
import type { Operation } from './operation.ts';
import { versionAsked, versionHeaders } from './version-headers.ts';

/** Query parameters that replace headers of the answer. */
export const RESPONSE_OVERRIDES = [
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
] as const;

export const getObject: Operation = async (request, { store }) => {
  const bucket = store.buckets.get(request.bucket);
  const { record, release } = await bucket.objects.hold(request.key, versionAsked(request));
  try {
    checkReadable(record.keeping);
    const { range, ...answer } = answerFor(request, record, bucket.versioning);
    const extents = range === undefined ? record.extents : slice(record.extents, range.start, range.end);
    return { ...answer, body: store.blobs.read(extents), done: release };
  } catch (error) {
    await release();
    throw error;
  }
};

export const headObject: Operation = async (request, { store }) => {
  const bucket = store.buckets.get(request.bucket);
  const { record, release } = await bucket.objects.hold(request.key, versionAsked(request));
  try {
    const { status, headers } = answerFor(request, record, bucket.versioning);
    return { status, headers };
  } finally {
    await release();
  }
};

function answerFor(
  request: S3Request,
  record: ObjectRecord,
  versioning: Versioning | undefined,
): { status: number; headers: Record<string, string>; range: ByteRange | undefined } {
  checkRead(request, record);
  const range = parseRange(header(request, 'range'), record.size);
  const headers: Record<string, string> = {
    ...descriptionHeaders(record),
    'Accept-Ranges': 'bytes',
    'Content-Length': String(range === undefined ? record.size : range.end - range.start),
    ETag: `"${record.etag}"`,
    'Last-Modified': new Date(record.lastModified).toUTCString(),
    ...versionHeaders(record, versioning),
  };
  for (const name of RESPONSE_OVERRIDES) {
    const value = request.query.get(name);
    if (value !== undefined) headers[name.slice('response-'.length)] = value;
  }
  if (range !== undefined) headers['Content-Range'] = `bytes ${range.start}-${range.end - 1}/${record.size}`;
  // The checksum is the whole object's: with a range it would be taken for that of the bytes sent.
  else if (header(request, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED')
    Object.assign(headers, checksumHeaders(record));
  return { status: range === undefined ? 200 : 206, headers, range };
}
