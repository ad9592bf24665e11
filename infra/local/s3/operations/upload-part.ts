import { MiB } from '../../../../lib/units.ts';
import { bodyClaims, crc32Value } from '../protocol/body-checks.ts';
import { parseCopyRange } from '../protocol/ranges.ts';
import { MAX_PUT, receiveBlob } from '../protocol/receive.ts';
import { header, integer, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import { blobsOf, digestOf, slice } from '../store/extents.ts';
import { crc32OfExtents } from '../store/extents-crc32.ts';
import type { PartRecord } from '../store/records.ts';
import type { Upload } from '../store/uploads.ts';
import { copySourceTooLarge, holdSource } from './copy-object.ts';
import { uploadOf } from './multipart-uploads.ts';
import type { Context, Operation } from './operation.ts';

/** A source must be larger than this, in bytes, for a range of it to be copied. */
const RANGE_COPY_OVER = 5 * MiB;

const partNumber = (request: S3Request): number =>
  integer(request, 'partNumber', { min: 1, max: 10_000, otherwise: Number.NaN });

export const uploadPart: Operation = async (request, context) => {
  const number = partNumber(request);
  const upload = uploadOf(request, context);
  checkAlgorithm(request, upload);
  const { md5, extents, size, crc32, checksum } = await receiveBlob(request, context.store.blobs);
  await storePart(context, upload, { number, size, etag: md5, crc32, lastModified: Date.now(), extents });
  const answered = upload.checksum ? { algorithm: 'CRC32', value: crc32Value(crc32) } : checksum;
  const headers = answered && { [`x-amz-checksum-${answered.algorithm.toLowerCase()}`]: answered.value };
  return { status: 200, headers: { ETag: `"${md5}"`, ...headers } };
};

/** A part's checksum must be of the upload's algorithm. */
function checkAlgorithm(request: S3Request, upload: Upload): void {
  const { checksum, trailer } = bodyClaims(request);
  const actual = checksum?.algorithm ?? trailer?.slice('x-amz-checksum-'.length).toUpperCase();
  if (upload.checksum === undefined || actual === undefined || actual === upload.checksum.algorithm) return;
  const message = `Checksum Type mismatch occurred, expected checksum Type: ${upload.checksum.algorithm}, actual checksum Type: ${actual}`;
  throw new S3Error('InvalidRequest', message);
}

/**
 * Makes a part of (a range of) an object by reference: no data is moved. The part's ETag is a digest of the extents, not
 * the MD5 of the bytes, which would have to be read for it. S3 promises no more: under SSE-KMS a part's ETag is no MD5.
 */
export const uploadPartCopy: Operation = async (request, context) => {
  const number = partNumber(request);
  const upload = uploadOf(request, context);
  const { record: source, release } = await holdSource(request, context);
  try {
    const { start, end } = copiedRange(header(request, 'x-amz-copy-source-range'), source.size);
    const extents = slice(source.extents, start, end);
    const crc32 = await crc32OfExtents(context.store.blobs, extents);
    const part = { number, size: end - start, etag: digestOf(extents), crc32, lastModified: Date.now(), extents };
    context.store.blobs.retain(blobsOf(extents));
    await storePart(context, upload, part);
    const LastModified = new Date(part.lastModified).toISOString();
    const result = { ETag: `"${part.etag}"`, LastModified, ChecksumCRC32: upload.checksum && crc32Value(crc32) };
    return { status: 200, body: toXml('CopyPartResult', result) };
  } finally {
    await release();
  }
};

function copiedRange(text: string | undefined, size: number): { start: number; end: number } {
  const range = text === undefined ? { start: 0, end: size } : parseCopyRange(text, size);
  if (text !== undefined && size <= RANGE_COPY_OVER) {
    throw new S3Error('InvalidRequest', 'The specified copy source is not supported as a byte-range copy source');
  }
  if (range.end - range.start > MAX_PUT) throw copySourceTooLarge();
  return range;
}

/** The references to the part's blobs pass to the upload, or are given up if it fails. */
async function storePart({ store }: Context, upload: Upload, part: PartRecord): Promise<void> {
  try {
    await store.uploads.putPart(upload, part);
  } catch (error) {
    await store.blobs.release(blobsOf(part.extents));
    throw error;
  }
}
