import { describe } from '../protocol/descriptions.ts';
import { encryptionHeaders } from '../protocol/keeping.ts';
import { integer, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { compareKeys } from '../store/compare-keys.ts';
import type { UploadRecord } from '../store/records.ts';
import type { Upload } from '../store/uploads.ts';
import { OWNER } from './buckets.ts';
import { partElement } from './checksum-headers.ts';
import { encoder } from './list-objects.ts';
import { uploadChecksum } from './object-checksum.ts';
import type { Context, Operation } from './operation.ts';

const PAGE = 1000;

export const createMultipartUpload: Operation = async (request, { store }) => {
  const { bucket, key } = request;
  store.buckets.get(bucket);
  const checksum = uploadChecksum(request);
  const upload = await store.uploads.create({ bucket, key, ...describe(request), ...(checksum && { checksum }) });
  const headers = {
    ...encryptionHeaders(upload.keeping),
    ...(checksum && { 'x-amz-checksum-algorithm': checksum.algorithm, 'x-amz-checksum-type': checksum.type }),
  };
  const body = toXml('InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: upload.id });
  return { status: 200, headers, body };
};

/** The upload that a request names. @throws S3Error `NoSuchBucket`, `NoSuchUpload` */
export function uploadOf(request: S3Request, { store }: Context): Upload {
  store.buckets.get(request.bucket);
  return store.uploads.get(request.query.get('uploadId') ?? '', request.bucket, request.key);
}

export const abortMultipartUpload: Operation = async (request, context) => {
  await context.store.uploads.finish(uploadOf(request, context));
  return { status: 204 };
};

export const listParts: Operation = async (request, context) => {
  const upload = uploadOf(request, context);
  const marker = integer(request, 'part-number-marker', { max: 2 ** 31 - 1, otherwise: 0 });
  const maxParts = Math.min(integer(request, 'max-parts', { max: 2 ** 31 - 1, otherwise: PAGE }), PAGE);
  const after = [...upload.parts.values()].filter(({ number }) => number > marker).sort((a, b) => a.number - b.number);
  const page = after.slice(0, maxParts);
  const parts = page.map(({ number, size, etag, lastModified, ...part }) => ({
    PartNumber: number,
    LastModified: new Date(lastModified).toISOString(),
    ETag: `"${etag}"`,
    Size: size,
    ...partElement(upload, part),
  }));
  const result = {
    Bucket: upload.bucket,
    Key: encoder(request)(upload.key),
    UploadId: upload.id,
    Initiator: OWNER,
    Owner: OWNER,
    StorageClass: 'STANDARD',
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.number ?? 0,
    MaxParts: maxParts,
    IsTruncated: after.length > page.length,
    ChecksumAlgorithm: upload.checksum?.algorithm,
    ChecksumType: upload.checksum?.type,
    Part: parts,
  };
  return { status: 200, body: toXml('ListPartsResult', result) };
};

export const listMultipartUploads: Operation = async (request, { store }) => {
  store.buckets.get(request.bucket);
  const encode = encoder(request);
  const { query } = request;
  const prefix = query.get('prefix') ?? '';
  const marker = query.get('key-marker') ?? '';
  const idMarker = query.get('upload-id-marker');
  const maxUploads = Math.min(integer(request, 'max-uploads', { min: 1, max: 2 ** 31 - 1, otherwise: PAGE }), PAGE);
  const all = store.uploads
    .list(request.bucket)
    .filter(({ key }) => key.startsWith(prefix))
    .sort(byKeyAndTime);
  const last = all.find(({ key, id }) => key === marker && id === idMarker);
  const after = all.filter((upload) => {
    if (last !== undefined) return byKeyAndTime(upload, last) > 0;
    return marker === '' || compareKeys(upload.key, marker) > 0;
  });
  const page = after.slice(0, maxUploads);
  const uploads = page.map(({ key, id, initiated, checksum }) => ({
    Key: encode(key),
    UploadId: id,
    Initiator: OWNER,
    Owner: OWNER,
    StorageClass: 'STANDARD',
    Initiated: new Date(initiated).toISOString(),
    ChecksumAlgorithm: checksum?.algorithm,
    ChecksumType: checksum?.type,
  }));
  const isTruncated = after.length > page.length;
  const result = {
    Bucket: request.bucket,
    Prefix: encode(prefix),
    KeyMarker: encode(marker),
    UploadIdMarker: idMarker ?? '',
    NextKeyMarker: isTruncated ? encode(page.at(-1)?.key ?? '') : undefined,
    NextUploadIdMarker: isTruncated ? page.at(-1)?.id : undefined,
    EncodingType: query.get('encoding-type'),
    MaxUploads: maxUploads,
    IsTruncated: isTruncated,
    Upload: uploads,
  };
  return { status: 200, body: toXml('ListMultipartUploadsResult', result) };
};

const byKeyAndTime = (a: UploadRecord, b: UploadRecord): number =>
  compareKeys(a.key, b.key) || a.initiated - b.initiated || compareKeys(a.id, b.id);
