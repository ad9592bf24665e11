import { MiB } from '../../../../lib/units.ts';
import { headerOf } from '../checksums/algorithms.ts';
import { bodyClaims } from '../protocol/body-claims.ts';
import { etagOf } from '../protocol/keeping.ts';
import { parseCopyRange } from '../protocol/ranges.ts';
import { MAX_PUT, receiveBlob } from '../protocol/receive.ts';
import { header, integer, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import { blobsOf, digestOf, slice } from '../store/extents.ts';
import { checksumOfExtents } from '../store/extents-checksum.ts';
import type { PartRecord } from '../store/records.ts';
import type { Upload } from '../store/uploads.ts';
import { partElement } from './checksum-headers.ts';
import { copySourceTooLarge, holdSource, sourceVersion } from './copy-object.ts';
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
  const { algorithm } = upload.checksum ?? {};
  const { md5, extents, size, asked } = await receiveBlob(request, context.store.blobs, algorithm);
  const checksum = asked !== undefined && { checksum: asked };
  const etag = etagOf(md5, upload.keeping);
  await storePart(context, upload, { number, size, etag, lastModified: Date.now(), extents, ...checksum });
  const headers = algorithm !== undefined && asked !== undefined && { [headerOf(algorithm)]: asked };
  return { status: 200, headers: { ETag: `"${etag}"`, ...headers } };
};

/**
 * A part's checksum must be of the upload's algorithm. It may be left out, and is then computed, but not where the
 * object's is to be COMPOSITE.
 */
function checkAlgorithm(request: S3Request, upload: Upload): void {
  const { checksum, trailer } = bodyClaims(request);
  const actual = checksum?.algorithm ?? trailer;
  const expected = upload.checksum?.algorithm;
  if (actual === expected || (actual === undefined && upload.checksum?.type === 'FULL_OBJECT')) return;
  const name = (algorithm: string | undefined) => algorithm?.toLowerCase() ?? 'null';
  const message = `Checksum Type mismatch occurred, expected checksum Type: ${name(expected)}, actual checksum Type: ${name(actual)}`;
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
    const { algorithm } = upload.checksum ?? {};
    const checksum = algorithm && { checksum: await checksumOfExtents(context.store.blobs, extents, algorithm) };
    const part = { number, size: end - start, etag: digestOf(extents), lastModified: Date.now(), extents, ...checksum };
    context.store.blobs.retain(blobsOf(extents));
    await storePart(context, upload, part);
    const LastModified = new Date(part.lastModified).toISOString();
    const result = { ETag: `"${part.etag}"`, LastModified, ...partElement(upload, part) };
    return { status: 200, headers: sourceVersion(request, context, source), body: toXml('CopyPartResult', result) };
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
