import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { UnqcowError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import { combineCrc32, crc32Of, fromBase64, toBase64 } from './crc32.ts';
import { asDestinationError, isUploadGone } from './s3-errors.ts';

export interface S3Target {
  readonly bucket: string;
  readonly key: string;
}

/** An open multipart upload. */
export interface Upload extends S3Target {
  readonly uploadId: string;
}

/** What S3 gave for a part. Numbers and lengths are ours; ETag and CRC-32 are the store's own words. */
export interface Receipt {
  readonly number: number;
  readonly length: number;
  readonly etag: string;
  /** Base64, as S3 has it. Missing where the store computes none for parts that it copies. */
  readonly crc32?: string | undefined;
}

export interface CopySource {
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string | undefined;
  readonly etag: string;
}

export const nameOf = ({ bucket, key }: S3Target): string => `s3://${bucket}/${key}`;

/** Opens an upload whose parts' CRC-32s combine into the object's. Costs one request. */
export async function createUpload(client: S3Client, target: S3Target): Promise<Upload> {
  const command = new CreateMultipartUploadCommand({
    Bucket: target.bucket,
    Key: target.key,
    ChecksumAlgorithm: 'CRC32',
    ChecksumType: 'FULL_OBJECT',
    ContentType: 'application/octet-stream',
  });
  const { UploadId: uploadId } = await sent(target, client.send(command));
  if (!uploadId) throw new UnqcowError('DESTINATION_UNAVAILABLE', `${nameOf(target)}: the store gave no upload id`);
  return { ...target, uploadId };
}

/**
 * Uploads one part. The store checks the bytes against their CRC-32. Costs one request.
 *
 * @throws UnqcowError `UPLOAD_GONE`, `CHECKSUM_MISMATCH`, `DESTINATION_*`; the signal's reason if it is aborted.
 */
export async function putPart(
  client: S3Client,
  upload: Upload,
  number: number,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<Receipt> {
  const crc32 = toBase64(crc32Of(bytes));
  const command = new UploadPartCommand({ ...idOf(upload), PartNumber: number, Body: bytes, ChecksumCRC32: crc32 });
  const { ETag: etag } = await sent(upload, client.send(command, withSignal(signal)), signal);
  return { number, length: bytes.length, etag: required(upload, etag), crc32 };
}

/**
 * Makes a part out of a range of an object in the same store. No byte moves through us. Costs one request.
 *
 * @throws UnqcowError `SOURCE_CHANGED` if the object is no longer the one that was pinned, or gone; as `putPart` does.
 */
export async function copyPart(
  client: S3Client,
  upload: Upload,
  number: number,
  from: CopySource,
  range: ByteRange,
  signal?: AbortSignal,
): Promise<Receipt> {
  const command = new UploadPartCopyCommand({
    ...idOf(upload),
    PartNumber: number,
    CopySource: encodeCopySource(from),
    CopySourceRange: `bytes=${range.start}-${range.end - 1}`,
    CopySourceIfMatch: from.etag,
  });
  const copied = client.send(command, withSignal(signal)).catch((error) => {
    const isGone = error?.name === 'NoSuchKey' || error?.name === 'NoSuchVersion';
    if (!isGone && error?.$metadata?.httpStatusCode !== 412) throw error;
    throw new UnqcowError('SOURCE_CHANGED', `${nameOf(from)} was replaced or deleted before it was copied`, {
      cause: error,
    });
  });
  const { CopyPartResult: result } = await sent(upload, copied, signal);
  const crc32 = result?.ChecksumCRC32;
  return { number, length: range.end - range.start, etag: required(upload, result?.ETag), ...(crc32 ? { crc32 } : {}) };
}

/** The SDK sends it as it is, so each segment of the key is encoded here. */
function encodeCopySource({ bucket, key, versionId }: CopySource): string {
  const path = [bucket, ...key.split('/')].map(encodeURIComponent).join('/');
  return versionId ? `${path}?versionId=${encodeURIComponent(versionId)}` : path;
}

/** All parts that the store has, by number. Costs one request per 1,000. */
export async function listParts(client: S3Client, upload: Upload): Promise<Receipt[]> {
  const parts: Receipt[] = [];
  // Not the SDK's paginator: it goes by the next marker, which stores also give with the last page.
  for (let marker: string | undefined, more = true; more; ) {
    const page = await sent(upload, client.send(new ListPartsCommand({ ...idOf(upload), PartNumberMarker: marker })));
    for (const { PartNumber = 0, Size = 0, ETag = '', ChecksumCRC32: crc32 } of page.Parts ?? []) {
      parts.push({ number: PartNumber, length: Size, etag: quoted(ETag), ...(crc32 ? { crc32 } : {}) });
    }
    more = page.IsTruncated === true && page.NextPartNumberMarker !== undefined;
    marker = page.NextPartNumberMarker;
  }
  return parts;
}

export interface Completion {
  readonly parts: readonly Receipt[];
  /** The whole object's CRC-32, if every part's is known: the store proves it. */
  readonly crc32: number | undefined;
  readonly size: number;
  /** Whether an object that is there already may be replaced. */
  readonly overwrite: boolean;
}

/**
 * Puts the object together. Costs one request.
 *
 * @throws UnqcowError `CHECKSUM_MISMATCH`, `RECEIPTS_MISMATCH`, `DESTINATION_EXISTS`, `UPLOAD_GONE`, `DESTINATION_*`.
 */
export async function completeUpload(client: S3Client, upload: Upload, completion: Completion): Promise<void> {
  const { parts, crc32, size, overwrite } = completion;
  const command = new CompleteMultipartUploadCommand({
    ...idOf(upload),
    MultipartUpload: {
      Parts: parts.map((part) => ({
        PartNumber: part.number,
        ETag: part.etag,
        ...(part.crc32 && crc32 !== undefined ? { ChecksumCRC32: part.crc32 } : {}),
      })),
    },
    MpuObjectSize: size,
    ...(crc32 === undefined ? {} : { ChecksumCRC32: toBase64(crc32), ChecksumType: 'FULL_OBJECT' as const }),
    ...(overwrite ? {} : { IfNoneMatch: '*' }),
  });
  await sent(upload, client.send(command));
}

/**
 * Aborts an upload and makes sure that it is gone: a part that was on its way may have come after the abort. Costs two
 * requests, and two more per such part.
 */
export async function abortUpload(client: S3Client, upload: Upload): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    if (await isGone(client.send(new AbortMultipartUploadCommand(idOf(upload))))) return;
    if (await isGone(client.send(new ListPartsCommand({ ...idOf(upload), MaxParts: 1 })))) return;
  }
  throw new UnqcowError('DESTINATION_UNAVAILABLE', `the upload to ${nameOf(upload)} could not be aborted`);

  async function isGone(request: Promise<unknown>): Promise<boolean> {
    try {
      await request;
      return false;
    } catch (error) {
      if (isUploadGone(error)) return true;
      throw asDestinationError(nameOf(upload), error);
    }
  }
}

function idOf({ bucket, key, uploadId }: Upload) {
  return { Bucket: bucket, Key: key, UploadId: uploadId };
}

function withSignal(signal: AbortSignal | undefined) {
  return signal ? { abortSignal: signal } : {};
}

function required(target: S3Target, etag: string | undefined): string {
  if (etag) return quoted(etag);
  throw new UnqcowError('DESTINATION_UNAVAILABLE', `${nameOf(target)}: the store gave no ETag`);
}

/** Ceph leaves the quotes off where it answers a copy, and has them where it lists parts. */
function quoted(etag: string): string {
  return etag.startsWith('"') ? etag : `"${etag}"`;
}

async function sent<T>(target: S3Target, request: Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await request;
  } catch (error) {
    signal?.throwIfAborted();
    throw asDestinationError(nameOf(target), error);
  }
}

/** The CRC-32s of all parts combined, or nothing if one is not known. */
export function crc32OfParts(parts: readonly Receipt[]): number | undefined {
  return parts.reduce<number | undefined>((whole, { crc32, length }) => {
    return whole === undefined || crc32 === undefined ? undefined : combineCrc32(whole, fromBase64(crc32), length);
  }, 0);
}
