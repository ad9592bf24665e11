import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { UnqcowError } from '../errors.ts';
import { asDestinationError } from './s3-errors.ts';
import { nameOf, type S3Target } from './s3-multipart.ts';

export interface StoredObject extends S3Target {
  readonly size: number;
  readonly etag: string;
  readonly versionId?: string | undefined;
  /** Base64; where the store keeps one for the whole object. */
  readonly crc32?: string | undefined;
}

/** What the store has at that key, or nothing. Costs one request. */
export async function headObject(client: S3Client, target: S3Target): Promise<StoredObject | undefined> {
  const command = new HeadObjectCommand({ Bucket: target.bucket, Key: target.key, ChecksumMode: 'ENABLED' });
  try {
    const {
      ContentLength: size = 0,
      ETag: etag = '',
      VersionId: versionId,
      ChecksumCRC32,
      ChecksumType,
    } = await client.send(command);
    const crc32 = ChecksumType === 'COMPOSITE' ? undefined : ChecksumCRC32;
    return { ...target, size, etag, ...(versionId ? { versionId } : {}), ...(crc32 ? { crc32 } : {}) };
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404) return undefined;
    throw asDestinationError(nameOf(target), error);
  }
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
  const command = new PutObjectCommand({
    Bucket: target.bucket,
    Key: target.key,
    Body: Buffer.from(text),
    ContentType: contentType,
    ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
  });
  await client.send(command).catch((error) => {
    throw asDestinationError(nameOf(target), error);
  });
}

/** Reads an object of the job's own. Costs one request. @throws UnqcowError `RECEIPTS_MISMATCH` if it is not there. */
export async function getText(client: S3Client, target: S3Target): Promise<string> {
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: target.bucket, Key: target.key }));
    return (await Body?.transformToString()) ?? '';
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') {
      throw new UnqcowError('RECEIPTS_MISMATCH', `the job's record ${nameOf(target)} is missing`, { cause: error });
    }
    throw asDestinationError(nameOf(target), error);
  }
}
