import { checkRead } from '../protocol/conditions.ts';
import { descriptionHeaders } from '../protocol/descriptions.ts';
import { type ByteRange, parseRange } from '../protocol/ranges.ts';
import { header, type S3Request } from '../protocol/request.ts';
import { S3Error } from '../s3-error.ts';
import { slice } from '../store/extents.ts';
import type { ObjectRecord } from '../store/records.ts';
import { checksumHeaders } from './checksum-headers.ts';
import type { Operation } from './operation.ts';

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
  const { record, release } = await hold(request, store.buckets.get(request.bucket).objects);
  try {
    const { range, ...answer } = answerFor(request, record);
    const extents = range === undefined ? record.extents : slice(record.extents, range.start, range.end);
    return { ...answer, body: store.blobs.read(extents), done: release };
  } catch (error) {
    await release();
    throw error;
  }
};

export const headObject: Operation = async (request, { store }) => {
  const { record, release } = await hold(request, store.buckets.get(request.bucket).objects);
  try {
    const { status, headers } = answerFor(request, record);
    return { status, headers };
  } finally {
    await release();
  }
};

type Objects = ReturnType<Parameters<Operation>[1]['store']['buckets']['get']>['objects'];

/** The object that a read asks for. @throws S3Error `NoSuchKey`; `NoSuchVersion` for any version but `null` */
async function hold(request: S3Request, objects: Objects) {
  if ((request.query.get('versionId') ?? 'null') !== 'null') throw new S3Error('NoSuchVersion');
  return objects.hold(request.key);
}

function answerFor(
  request: S3Request,
  record: ObjectRecord,
): { status: number; headers: Record<string, string>; range: ByteRange | undefined } {
  checkRead(request, record);
  const range = parseRange(header(request, 'range'), record.size);
  const headers: Record<string, string> = {
    ...descriptionHeaders(record),
    'Accept-Ranges': 'bytes',
    'Content-Length': String(range === undefined ? record.size : range.end - range.start),
    ETag: `"${record.etag}"`,
    'Last-Modified': new Date(record.lastModified).toUTCString(),
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
