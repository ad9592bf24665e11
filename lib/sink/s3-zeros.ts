import { randomBytes } from 'node:crypto';
import { DeleteObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import pMap from 'p-map';
import { UnqcowError } from '../errors.ts';
import { GiB, MiB } from '../units.ts';
import { crc32OfZeros, toBase64 } from './crc32.ts';
import { cutName } from './cut-name.ts';
import { IF_ABSENT } from './s3-condition.ts';
import { copyPart } from './s3-copy-part.ts';
import { abortUpload, completeUpload, crc32OfParts, createUpload } from './s3-multipart.ts';
import { headObject } from './s3-object.ts';
import { sent } from './s3-request.ts';
import { type CopySource, nameOf, objectOf, type S3Target } from './s3-target.ts';

/** An object of zeros to copy zero parts from, pinned. */
export interface Zeros extends CopySource {
  readonly size: number;
}

const SEED = 8 * MiB;
/** What lies in the work bucket is worth making large. */
const SMALLEST_KEPT = 512 * MiB;
/** Bytes of a key. */
const MAX_KEY = 1024;
/** Each is made of copies of the one before. */
const SIZES = [64 * MiB, 512 * MiB, 5 * GiB] as const;

function sizeFor(longest: number): number {
  const size = SIZES.find((each) => each >= longest);
  if (size === undefined) throw new UnqcowError('INTERNAL', `a part of ${longest} bytes is longer than S3 takes`);
  return size;
}

/**
 * Finds the object of zeros that is at least `longest` bytes long, or makes it: once per work bucket, from 8 MiB that are
 * uploaded and the rest copied. Made by several jobs at once, one wins and the others use it. It is never changed.
 *
 * Costs one request if it is there; else about 70.
 *
 * @throws UnqcowError `CHECKSUM_MISMATCH` if the object that is there does not hold zeros.
 */
export async function ensureZeros(client: S3Client, bucket: string, prefix: string, longest: number): Promise<Zeros> {
  const size = sizeFor(Math.max(longest, SMALLEST_KEPT));
  const target = { bucket, key: `${prefix}zeros-${size}` };
  const there = await find(client, target, size);
  if (there) return there;
  const from =
    size === SMALLEST_KEPT
      ? await putSeed(client, { bucket, key: `${prefix}zeros-seed` })
      : await ensureZeros(client, bucket, prefix, SMALLEST_KEPT);
  return make(client, target, size, from);
}

/** Zeros for a while. */
export interface LentZeros {
  readonly zeros: Zeros;
  /** Removes them, and the smaller ones that they were made from: not even a version stays. Never rejects. */
  giveBack(): Promise<void>;
}

/**
 * Makes an object of zeros of at least `longest` bytes beside the target, for one job.
 *
 * Costs 1 request for zeros of up to 8 MiB, 12 up to 64 MiB, 23 up to 512 MiB, 36 up to 5 GiB, and two for each of these
 * to give them back. 8 MiB are uploaded.
 */
export async function lendZeros(client: S3Client, { key, ...place }: S3Target, longest: number): Promise<LentZeros> {
  const id = randomBytes(4).toString('hex');
  const places: S3Target[] = [];
  const placeFor = (size: number) => {
    const suffix = `.zeros-${id}-${size}`;
    const made = { ...place, key: cutName(key, MAX_KEY - suffix.length) + suffix };
    places.push(made);
    return made;
  };
  const giveBack = async () => {
    await Promise.allSettled(places.map((each) => remove(client, each)));
  };
  try {
    let zeros = await putSeed(client, placeFor(SEED));
    for (const size of SIZES) if (zeros.size < longest) zeros = await make(client, placeFor(size), size, zeros);
    return { zeros, giveBack };
  } catch (error) {
    await giveBack();
    throw error;
  }
}

/** Removes what is there, and in a bucket with versions that version: no marker is left in its place. */
async function remove(client: S3Client, target: S3Target): Promise<void> {
  const there = await headObject(client, target);
  if (there) await client.send(new DeleteObjectCommand({ ...objectOf(target), VersionId: there.versionId }));
}

async function find(client: S3Client, target: S3Target, size: number): Promise<Zeros | undefined> {
  const found = await headObject(client, target);
  if (!found) return undefined;
  const sound = found.size === size && (found.crc32 === undefined || found.crc32 === toBase64(crc32OfZeros(size)));
  if (!sound) throw new UnqcowError('CHECKSUM_MISMATCH', `${nameOf(target)} does not hold ${size} zeros; delete it`);
  const { etag, versionId } = found;
  return { ...target, size, etag, ...(versionId ? { versionId } : {}) };
}

/** Makes an object of `size` zeros out of a smaller one, whose size divides it, or finds the one that another made. */
async function make(client: S3Client, target: S3Target, size: number, from: Zeros): Promise<Zeros> {
  try {
    await compose(client, target, size, from);
  } catch (error) {
    // Another made it first; or this Complete did, its answer was lost, and the next try found no upload.
    const mayBeThere =
      error instanceof UnqcowError && (error.code === 'DESTINATION_EXISTS' || error.code === 'UPLOAD_GONE');
    if (!mayBeThere) throw error;
  }
  const made = await find(client, target, size);
  if (made) return made;
  throw new UnqcowError('DESTINATION_UNAVAILABLE', `${nameOf(target)} was made but is not there`);
}

async function compose(client: S3Client, target: S3Target, size: number, from: Zeros): Promise<void> {
  const upload = await createUpload(client, target);
  const stop = new AbortController();
  try {
    const numbers = Array.from({ length: size / from.size }, (_, i) => i + 1);
    const range = { start: 0, end: from.size };
    const copy = (number: number) => copyPart(client, upload, number, from, range, stop.signal);
    const parts = await pMap(numbers, copy, { concurrency: 8 });
    const crc32 = crc32OfParts(parts) === undefined ? undefined : crc32OfZeros(size);
    await completeUpload(client, upload, { parts, crc32, size, condition: IF_ABSENT });
  } catch (error) {
    stop.abort(error); // the copies that are on their way
    // If that fails too, it is still the first failure that counts; the sweeper finds the upload.
    await abortUpload(client, upload).catch(() => undefined);
    throw error;
  }
}

async function putSeed(client: S3Client, target: S3Target): Promise<Zeros> {
  const command = new PutObjectCommand({
    ...objectOf(target),
    Body: new Uint8Array(SEED),
    ChecksumCRC32: toBase64(crc32OfZeros(SEED)),
  });
  const { ETag: etag = '', VersionId: versionId } = await sent(target, client.send(command));
  return { ...target, size: SEED, etag, ...(versionId ? { versionId } : {}) };
}
