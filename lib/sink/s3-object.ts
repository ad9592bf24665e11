import {
  type CompleteMultipartUploadCommandOutput,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import pRetry, { AbortError } from 'p-retry';
import { UnqcowError } from '../errors.ts';
import { statusOf } from '../http-status.ts';
import { IF_ABSENT, isNotImplemented, type WriteCondition } from './s3-condition.ts';
import { MARK } from './s3-description.ts';
import { asDestinationError } from './s3-errors.ts';
import { quoted, sent } from './s3-request.ts';
import { nameOf, objectOf, type S3Target } from './s3-target.ts';

export interface StoredObject extends S3Target {
  readonly size: number;
  readonly etag: string;
  readonly versionId?: string | undefined;
  /** Base64; where the store keeps one for the whole object. */
  readonly crc32?: string | undefined;
  /** Whether unqcow made it, by its own metadata. */
  readonly isOurs: boolean;
}

/** What the store has at that key, or nothing. Costs one request. */
export async function headObject(client: S3Client, target: S3Target): Promise<StoredObject | undefined> {
  const command = new HeadObjectCommand({ ...objectOf(target), ChecksumMode: 'ENABLED' });
  try {
    const {
      ContentLength: size = 0,
      ETag: etag = '',
      VersionId: versionId,
      ChecksumCRC32,
      ChecksumType,
      Metadata = {},
    } = await client.send(command);
    const crc32 = ChecksumType === 'COMPOSITE' ? undefined : ChecksumCRC32;
    const isOurs = MARK in Metadata;
    return { ...target, size, etag, ...(versionId ? { versionId } : {}), ...(crc32 ? { crc32 } : {}), isOurs };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw asDestinationError(nameOf(target), error);
  }
}

/** What a store says of an object as it has written it. */
export type Written = Pick<StoredObject, 'etag' | 'versionId' | 'crc32'>;

/** Nothing, if the store does not say which object it is. */
export function writtenAs({ ETag, VersionId, ChecksumCRC32, ChecksumType }: WriteAnswer): Written | undefined {
  if (!ETag) return undefined;
  return {
    etag: quoted(ETag),
    ...(VersionId ? { versionId: VersionId } : {}),
    ...(ChecksumCRC32 && ChecksumType !== 'COMPOSITE' ? { crc32: ChecksumCRC32 } : {}),
  };
}
type WriteAnswer = Pick<CompleteMultipartUploadCommandOutput, 'ETag' | 'VersionId' | 'ChecksumCRC32' | 'ChecksumType'>;

/**
 * An object as it was written, by what the store has there now. If that is another one, it was replaced at once, and the
 * answer to the write is all that there is to know. Costs one request.
 *
 * @throws UnqcowError `CHECKSUM_MISMATCH` if it is not there whole.
 */
export async function storedAs(
  client: S3Client,
  target: S3Target,
  size: number,
  written?: Written,
): Promise<StoredObject> {
  const object = await headObject(client, target);
  if (object && written && quoted(object.etag) !== written.etag) return { ...target, size, ...written, isOurs: true };
  if (object?.size === size) return object;
  const message = object ? `has ${object.size} bytes, not ${size}` : 'was written but is not there';
  throw new UnqcowError('CHECKSUM_MISMATCH', `${nameOf(target)} ${message}`);
}

/**
 * Writes what must not be there yet. A store that has no such condition is looked at first, and written to without one: two
 * writers at the same moment are not told apart then.
 *
 * @throws UnqcowError `DESTINATION_EXISTS`; as `write` does.
 */
export async function writeIfAbsent<T>(
  client: S3Client,
  target: S3Target,
  write: (condition: WriteCondition) => Promise<T>,
): Promise<T> {
  try {
    return await write(IF_ABSENT);
  } catch (error) {
    if (!isNotImplemented(error)) throw error;
  }
  if (await headObject(client, target)) throw new UnqcowError('DESTINATION_EXISTS', `${nameOf(target)} exists`);
  return write({});
}

/** Writes a small object of the job's own. Costs one request. */
export async function putJson(
  client: S3Client,
  target: S3Target,
  value: unknown,
  { ifAbsent = false } = {},
): Promise<void> {
  await putText(client, target, JSON.stringify(value), { contentType: 'application/json', ifAbsent });
}

export async function putText(
  client: S3Client,
  target: S3Target,
  text: string,
  { contentType, ifAbsent = false }: { readonly contentType: string; readonly ifAbsent?: boolean },
): Promise<void> {
  const write = (condition: WriteCondition) => {
    const body = { Body: Buffer.from(text), ContentType: contentType };
    const command = new PutObjectCommand({ Bucket: target.bucket, Key: target.key, ...body, ...condition });
    return sent(target, client.send(command));
  };
  await (ifAbsent ? writeIfAbsent(client, target, write) : write({}));
}

/** Tries of a record's body. */
const TRIES = 3;

/** Reads an object of the job's own. Costs one request. @throws UnqcowError `RECEIPTS_MISMATCH` if it is not there. */
export async function getText(client: S3Client, target: S3Target): Promise<string> {
  try {
    return await pRetry(
      async () => {
        const command = new GetObjectCommand({ Bucket: target.bucket, Key: target.key });
        const { Body, ContentLength } = await client.send(command).catch((error) => {
          throw new AbortError(error);
        });
        // The SDK tries again until it has an answer; that its body is whole is for us to see to.
        const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
        if (bytes.length !== ContentLength) throw new Error(`${bytes.length} bytes came of ${ContentLength}`);
        return Buffer.from(bytes).toString();
      },
      { retries: TRIES - 1, minTimeout: 100 },
    );
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') {
      throw new UnqcowError('RECEIPTS_MISMATCH', `the job's record ${nameOf(target)} is missing`, { cause: error });
    }
    throw asDestinationError(nameOf(target), error);
  }
}

/** For whom an object that is missing from `getText` is an answer, and no error. */
export function unlessMissing(error: unknown): undefined {
  if (error instanceof UnqcowError && error.code === 'RECEIPTS_MISMATCH') return undefined;
  throw error;
}
