import { Readable } from 'node:stream';
import {
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandOutput,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload as LibUpload } from '@aws-sdk/lib-storage';
import { UnqcowError } from '../errors.ts';
import { MiB } from '../units.ts';
import { combineCrc32, crc32Of, toBase64 } from './crc32.ts';
import { asConditionError, type WriteCondition } from './s3-condition.ts';
import type { Description } from './s3-description.ts';
import { asDestinationError, isUploadGone } from './s3-errors.ts';
import { isMade, isProven, type Whole } from './s3-made.ts';
import { abortUpload } from './s3-multipart.ts';
import { headObject, type Written, writtenAs } from './s3-object.ts';
import { nameOf, objectOf, type S3Target, type Upload } from './s3-target.ts';

const PART_SIZE = 16 * MiB;

export interface WholeOptions {
  /** Bytes of each part; 16 MiB if left out. A body that is no longer goes in one request. */
  readonly partSize?: number;
  /** What must hold of the object that is there already. */
  readonly condition?: WriteCondition;
  readonly description?: Description;
  /** Stops the body; the upload is aborted before this rejects. */
  readonly signal?: AbortSignal | undefined;
  /** Told of the multipart upload, if there is to be one, before a part of it is sent. */
  readonly onUpload?: ((upload: Upload) => Promise<void>) | undefined;
}

export interface PutWhole {
  readonly crc32: number;
  readonly proven: boolean;
  readonly written?: Written | undefined;
}

/**
 * Uploads a body of known length while it is made, by lib-storage, in up to 4 parts at a time. Where the store
 * answers with the object's CRC-32, it is compared with ours. Leaves no upload open, however it ends.
 *
 * @returns the CRC-32 of what was sent, whether the store proved it, and which object it is, as far as the store says.
 * @throws UnqcowError `CHECKSUM_MISMATCH`, `DESTINATION_*`; whatever `body` throws; the signal's reason if it is aborted.
 */
export async function putWhole(
  client: S3Client,
  target: S3Target,
  body: AsyncIterable<Uint8Array>,
  size: number,
  options: WholeOptions = {},
): Promise<PutWhole> {
  const { condition = {}, description = {} } = options;
  options.signal?.throwIfAborted();
  const params = {
    ...objectOf(target),
    ContentType: 'application/octet-stream',
    ChecksumAlgorithm: 'CRC32' as const,
    ...description,
    ...condition,
  };
  if (size === 0) {
    const empty = new PutObjectCommand({ ...params, Body: new Uint8Array(0), ChecksumCRC32: toBase64(0) });
    const answer = await client
      .send(empty)
      .catch((error) => refuse(target, asConditionError(nameOf(target), condition, error)));
    return { crc32: 0, proven: answer.ChecksumCRC32 === toBase64(0), written: writtenAs(answer) };
  }
  const made: Made = { crc32: 0, size: 0 };
  const upload = new LibUpload({
    client: options.onUpload ? announcing(client, target, options.onUpload) : client,
    partSize: options.partSize ?? PART_SIZE,
    queueSize: 4,
    params: { ...params, ChecksumType: 'FULL_OBJECT', Body: Readable.from(summed(body, size, made, options.signal)) },
  });
  try {
    const answer = await upload.done();
    const { ChecksumCRC32 } = answer;
    if (ChecksumCRC32 !== undefined && ChecksumCRC32 !== toBase64(made.crc32)) {
      throw new UnqcowError(
        'CHECKSUM_MISMATCH',
        `${nameOf(target)} has CRC-32 ${ChecksumCRC32}, not ${toBase64(made.crc32)}`,
      );
    }
    return { crc32: made.crc32, proven: ChecksumCRC32 !== undefined, written: writtenAs(answer) };
  } catch (failure) {
    const error = asConditionError(nameOf(target), condition, failure);
    // lib-storage aborts when a part fails, but not when its Complete is refused.
    const { uploadId, uploadedParts } = upload as unknown as Internals;
    // If that fails too, it is still the first failure that says why there is no object.
    if (uploadId) await abortUpload(client, { ...target, uploadId }).catch(() => undefined);
    if (made.failure) throw made.failure.reason;
    if (!mayBeDone(error)) return refuse(target, error);
    const whole: Whole = { size, crc32: made.crc32, etags: uploadedParts.map(({ ETag = '' }) => ETag) };
    // A first Complete may have done it, and its answer been lost: a second one finds no upload.
    const object = await headObject(client, target).catch(() => undefined);
    return isMade(object, whole) ? { crc32: made.crc32, proven: isProven(object, whole) } : refuse(target, error);
  }
}

/** The client, but for the answer to CreateMultipartUpload, which lib-storage gets once `onUpload` knows of it. */
function announcing(client: S3Client, target: S3Target, onUpload: NonNullable<WholeOptions['onUpload']>): S3Client {
  const send = async (command: Parameters<S3Client['send']>[0]) => {
    const answer = await client.send(command);
    if (command instanceof CreateMultipartUploadCommand) {
      const { UploadId: uploadId = '' } = answer as CreateMultipartUploadCommandOutput;
      const upload = { ...target, uploadId };
      await onUpload(upload).catch(async (error: unknown) => {
        // lib-storage never learns of it, so nobody else would abort it.
        await abortUpload(client, upload).catch(() => undefined);
        throw error;
      });
    }
    return answer;
  };
  return Object.create(client, { send: { value: send } });
}

/** What a second try meets where the first one did it, and its answer was lost: no upload, or an object that exists. */
function mayBeDone(error: unknown): boolean {
  return isUploadGone(error) || asDestinationError('', error).code === 'DESTINATION_EXISTS';
}

/** What lib-storage keeps to itself. */
interface Internals {
  readonly uploadId?: string;
  /** By number, once all are there. */
  readonly uploadedParts: readonly { readonly ETag?: string }[];
}

/** What has been made of the body so far. */
interface Made {
  crc32: number;
  size: number;
  failure?: { readonly reason: unknown };
}

/**
 * Stops between two chunks rather than through lib-storage, whose abort does not wait for what it sends. Ends only after
 * exactly `size` bytes: a body of another length never becomes an object.
 */
async function* summed(body: AsyncIterable<Uint8Array>, size: number, made: Made, signal?: AbortSignal) {
  try {
    for await (const chunk of body) {
      signal?.throwIfAborted();
      made.crc32 = combineCrc32(made.crc32, crc32Of(chunk), chunk.length);
      made.size += chunk.length;
      yield chunk;
    }
    if (made.size !== size) throw new UnqcowError('INTERNAL', `${made.size} bytes were made of ${size}`);
  } catch (reason) {
    made.failure = { reason };
    throw reason;
  }
}

function refuse(target: S3Target, error: unknown): never {
  throw asDestinationError(nameOf(target), error);
}
