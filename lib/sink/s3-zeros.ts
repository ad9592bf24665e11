import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import pMap from 'p-map';
import { UnqcowError } from '../errors.ts';
import { GiB, MiB } from '../units.ts';
import { crc32OfZeros, toBase64 } from './crc32.ts';
import { asDestinationError } from './s3-errors.ts';
import {
  abortUpload,
  type CopySource,
  completeUpload,
  copyPart,
  crc32OfParts,
  createUpload,
  nameOf,
  type S3Target,
} from './s3-multipart.ts';
import { headObject } from './s3-object.ts';

/** An object of zeros to copy zero parts from, pinned. */
export interface Zeros extends CopySource {
  readonly size: number;
}

const SEED = 8 * MiB;
const SIZES = [512 * MiB, 5 * GiB] as const;

/**
 * Finds the object of zeros that is at least `longest` bytes long, or makes it: once per work bucket, from 8 MiB that are
 * uploaded and the rest copied. Made by several jobs at once, one wins and the others use it. It is never changed.
 *
 * Costs one request if it is there; else about 70.
 *
 * @throws UnqcowError `CHECKSUM_MISMATCH` if the object that is there does not hold zeros.
 */
export async function ensureZeros(client: S3Client, bucket: string, prefix: string, longest: number): Promise<Zeros> {
  const size = SIZES.find((each) => each >= longest);
  if (size === undefined) throw new UnqcowError('INTERNAL', `a part of ${longest} bytes is longer than S3 takes`);
  const target = { bucket, key: `${prefix}zeros-${size}` };
  const there = (await find(client, target, size)) ?? (await make(client, target, size, prefix));
  return there;
}

async function find(client: S3Client, target: S3Target, size: number): Promise<Zeros | undefined> {
  const found = await headObject(client, target);
  if (!found) return undefined;
  const sound = found.size === size && (found.crc32 === undefined || found.crc32 === toBase64(crc32OfZeros(size)));
  if (!sound) throw new UnqcowError('CHECKSUM_MISMATCH', `${nameOf(target)} does not hold ${size} zeros; delete it`);
  const { etag, versionId } = found;
  return { ...target, size, etag, ...(versionId ? { versionId } : {}) };
}

async function make(client: S3Client, target: S3Target, size: number, prefix: string): Promise<Zeros> {
  const seed = await putSeed(client, { bucket: target.bucket, key: `${prefix}zeros-seed` });
  const [step, from] =
    size === SIZES[0] ? [SEED, seed] : [SIZES[0], await ensureZeros(client, target.bucket, prefix, SIZES[0])];
  const upload = await createUpload(client, target);
  try {
    const numbers = Array.from({ length: size / step }, (_, i) => i + 1);
    const copy = (number: number) => copyPart(client, upload, number, from, { start: 0, end: step });
    const parts = await pMap(numbers, copy, { concurrency: 8 });
    const crc32 = crc32OfParts(parts);
    await completeUpload(client, upload, {
      parts,
      crc32: crc32 === undefined ? undefined : crc32OfZeros(size),
      size,
      overwrite: false,
    });
  } catch (error) {
    await abortUpload(client, upload);
    if (!(error instanceof UnqcowError && error.code === 'DESTINATION_EXISTS')) throw error;
  }
  const made = await find(client, target, size);
  if (made) return made;
  throw new UnqcowError('DESTINATION_UNAVAILABLE', `${nameOf(target)} was made and is not there`);
}

async function putSeed(client: S3Client, target: S3Target): Promise<Zeros> {
  const command = new PutObjectCommand({
    Bucket: target.bucket,
    Key: target.key,
    Body: new Uint8Array(SEED),
    ChecksumCRC32: toBase64(crc32OfZeros(SEED)),
  });
  const { ETag: etag = '', VersionId: versionId } = await client.send(command).catch((error) => {
    throw asDestinationError(nameOf(target), error);
  });
  return { ...target, size: SEED, etag, ...(versionId ? { versionId } : {}) };
}
