import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { UnqcowError } from '../errors.ts';
import { combineCrc32, crc32Of, fromBase64, toBase64 } from './crc32.ts';
import { asConditionError, type WriteCondition } from './s3-condition.ts';
import type { Description } from './s3-description.ts';
import { asDestinationError, isUploadGone } from './s3-errors.ts';
import { type Written, writtenAs } from './s3-object.ts';
import { etagOf, quoted, sent, withSignal } from './s3-request.ts';
import { nameOf, objectOf, type Receipt, type S3Target, type Upload, uploadOf } from './s3-target.ts';

/** Opens an upload whose parts' CRC-32s combine into the object's. Costs one request. */
export async function createUpload(client: S3Client, target: S3Target, description?: Description): Promise<Upload> {
  const command = new CreateMultipartUploadCommand({
    ...objectOf(target),
    ChecksumAlgorithm: 'CRC32',
    ChecksumType: 'FULL_OBJECT',
    ContentType: 'application/octet-stream',
    ...description,
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
  const command = new UploadPartCommand({ ...uploadOf(upload), PartNumber: number, Body: bytes, ChecksumCRC32: crc32 });
  const answer = await sent(upload, client.send(command, withSignal(signal)), signal);
  return { number, length: bytes.length, etag: etagOf(upload, answer), crc32 };
}

/** All parts that the store has, by number. Costs one request per 1,000. */
export async function listParts(client: S3Client, upload: Upload): Promise<Receipt[]> {
  const parts: Receipt[] = [];
  // Not the SDK's paginator: it goes by the next marker, which stores also give with the last page.
  for (let marker: string | undefined, more = true; more; ) {
    const page = await sent(
      upload,
      client.send(new ListPartsCommand({ ...uploadOf(upload), PartNumberMarker: marker })),
    );
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
  /** What must hold of the object that is there already. */
  readonly condition?: WriteCondition;
}

/**
 * Puts the object together. Costs one request.
 *
 * @returns what it is, as far as the store says.
 * @throws UnqcowError `CHECKSUM_MISMATCH`, `RECEIPTS_MISMATCH`, `DESTINATION_EXISTS`, `UPLOAD_GONE`, `DESTINATION_*`.
 */
export async function completeUpload(
  client: S3Client,
  upload: Upload,
  completion: Completion,
): Promise<Written | undefined> {
  const { parts, crc32, size, condition = {} } = completion;
  const command = new CompleteMultipartUploadCommand({
    ...uploadOf(upload),
    MultipartUpload: {
      Parts: parts.map((part) => ({
        PartNumber: part.number,
        ETag: part.etag,
        ...(part.crc32 && crc32 !== undefined ? { ChecksumCRC32: part.crc32 } : {}),
      })),
    },
    MpuObjectSize: size,
    ...(crc32 === undefined ? {} : { ChecksumCRC32: toBase64(crc32), ChecksumType: 'FULL_OBJECT' as const }),
    ...condition,
  });
  const completed = client.send(command).catch((error) => {
    throw asConditionError(nameOf(upload), condition, error);
  });
  return writtenAs(await sent(upload, completed));
}

/**
 * Aborts an upload and makes sure that it is gone: a part that was on its way may have come after the abort. Costs two
 * requests, and two more per such part.
 */
export async function abortUpload(client: S3Client, upload: Upload): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    if (await isGone(client.send(new AbortMultipartUploadCommand(uploadOf(upload))))) return;
    if (await isGone(client.send(new ListPartsCommand({ ...uploadOf(upload), MaxParts: 1 })))) return;
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

/** The CRC-32s of all parts combined, or nothing if one is not known. */
export function crc32OfParts(parts: readonly Receipt[]): number | undefined {
  return parts.reduce<number | undefined>((whole, { crc32, length }) => {
    return whole === undefined || crc32 === undefined ? undefined : combineCrc32(whole, fromBase64(crc32), length);
  }, 0);
}
