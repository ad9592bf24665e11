import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { UnqcowError } from '../errors.ts';
import { statusOf } from '../http-status.ts';
import { assertWithin, type ByteRange } from '../ranges.ts';
import type { OpenSource, ReadOptions } from './byte-source.ts';
import { drain, orDestroyed } from './s3-body.ts';
import type { Place } from './s3-errors.ts';
import { type RetryOptions, retried } from './s3-retried.ts';
import { HEAD_LENGTH, withHead } from './with-head.ts';

/** On which terms a bucket is read. */
export interface S3Terms {
  /** The account that it has to belong to. */
  readonly owner?: string | undefined;
  /** Whether we pay for what is read, where its owner does not. */
  readonly requestPayer?: boolean | undefined;
}

/** Where an object lies, and optionally which version of it is meant. */
export interface S3Location extends S3Terms {
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string | undefined;
  readonly etag?: string | undefined;
}

/** One exact version of an object. Every GET carries the ETag, and the version where the bucket keeps versions. */
export interface S3Pin extends S3Location {
  readonly etag: string;
  readonly size: number;
}

export interface S3Source extends OpenSource {
  readonly pin: S3Pin;
}

/**
 * Opens an object by fetching its first 64 KiB, which also tells its size, ETag and version: one GET. Reads inside those
 * bytes are free afterwards. An empty object costs a HEAD more, since S3 answers 416 to a range of nothing.
 *
 * @throws UnqcowError `SOURCE_NOT_FOUND`, `SOURCE_DENIED`, `SOURCE_UNAVAILABLE`; `SOURCE_CHANGED` if the location names an
 * ETag and the object has another.
 */
export async function openS3(client: S3Client, location: S3Location, options: RetryOptions = {}): Promise<S3Source> {
  const place: Place = { ...location, pinned: location.etag !== undefined };
  return retried(client, place, options, async (signal, alive) => {
    const answer = await client
      .send(new GetObjectCommand({ ...objectOf(location), Range: `bytes=0-${HEAD_LENGTH - 1}` }), {
        abortSignal: signal,
      })
      .catch((error) => {
        if (statusOf(error) === 416) return undefined;
        throw error;
      });
    if (!answer) return s3Source(client, await headOf(client, location, signal), options);
    const pin = orDestroyed(answer, () => pinOf(location, answer, sizeOf(answer, { start: 0, end: HEAD_LENGTH })));
    const head = new Uint8Array(Math.min(HEAD_LENGTH, pin.size));
    await drain(answer, head, 0, { signal, alive, meter: options.meter });
    const source = s3Source(client, pin, options);
    return { ...withHead(source, head), pin };
  });
}

/** Names one version of an object. */
export function idOf({ bucket, key, versionId = '', etag }: S3Pin): string {
  return `s3://${bucket}/${key}#${versionId}#${etag}`;
}

/** Reads an object that was pinned before. Costs nothing until it is read; then one GET per read. */
export function s3Source(client: S3Client, pin: S3Pin, options: RetryOptions = {}): S3Source {
  const place: Place = { ...pin, pinned: true };
  return {
    pin,
    size: pin.size,
    id: idOf(pin),
    async read(range: ByteRange, { signal, into }: ReadOptions = {}) {
      signal?.throwIfAborted();
      assertWithin(range, pin.size);
      const bytes = into ?? new Uint8Array(range.end - range.start);
      if (bytes.length === 0) return bytes;
      let done = 0; // a body that was cut short is taken up again where it ended
      await retried(client, place, { ...options, signal }, async (attempt, alive) => {
        const answer = await getRange(client, pin, { start: range.start + done, end: range.end }, attempt);
        const received = (end: number) => {
          done = end;
        };
        await drain(answer, bytes, done, { signal: attempt, alive, meter: options.meter, received });
      });
      return bytes;
    },
    async verify() {
      const now = await retried(client, place, options, (signal) => headOf(client, pin, signal));
      if (now.etag !== pin.etag || now.size !== pin.size) throw changed(pin);
    },
    async close() {},
  };
}

async function getRange(client: S3Client, pin: S3Pin, range: ByteRange, signal: AbortSignal) {
  const command = new GetObjectCommand({ ...objectOf(pin), Range: `bytes=${range.start}-${range.end - 1}` });
  const answer = await client.send(command, { abortSignal: signal });
  // A store that ignores If-Match or the range must not get other bytes past us.
  return orDestroyed(answer, () => {
    if (etagOf(answer) !== pin.etag || sizeOf(answer, range) !== pin.size) throw changed(pin);
    return answer;
  });
}

async function headOf(client: S3Client, location: S3Location, signal: AbortSignal): Promise<S3Pin> {
  const answer = await client.send(new HeadObjectCommand(objectOf(location)), { abortSignal: signal });
  return pinOf(location, answer, answer.ContentLength ?? 0);
}

function objectOf({ bucket, key, versionId, etag, ...terms }: S3Location) {
  return { Bucket: bucket, Key: key, VersionId: versionId, IfMatch: etag, ...inS3Words(terms) };
}

/** Terms as every request for reading has them. */
export function inS3Words({ owner, requestPayer }: S3Terms) {
  return {
    ...(owner ? { ExpectedBucketOwner: owner } : {}),
    ...(requestPayer ? { RequestPayer: 'requester' as const } : {}),
  };
}

function pinOf(location: S3Location, answer: GetObjectCommandOutput | HeadObjectCommandOutput, size: number): S3Pin {
  const { VersionId: versionId = location.versionId } = answer;
  const etag = etagOf(answer);
  if (location.etag && location.etag !== etag) throw changed(location);
  const { bucket, key, owner, requestPayer } = location;
  const terms = { ...(owner ? { owner } : {}), ...(requestPayer ? { requestPayer } : {}) };
  return { bucket, key, ...(versionId ? { versionId } : {}), etag, size, ...terms };
}

function etagOf({ ETag: etag }: GetObjectCommandOutput | HeadObjectCommandOutput): string {
  if (etag) return etag;
  throw new Error('the store sent no ETag');
}

/** The whole object's size, from `bytes 0-65535/104857600`. @throws if that is not the range that was asked for. */
function sizeOf({ ContentRange: said = 'no range' }: GetObjectCommandOutput, { start, end }: ByteRange): number {
  const [first, last, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(said)?.slice(1).map(Number) ?? [];
  if (size !== undefined && first === start && last === Math.min(end, size) - 1) return size;
  throw new Error(`the store answered ${said} to bytes ${start}-${end - 1}`);
}

function changed({ bucket, key }: S3Location): UnqcowError {
  return new UnqcowError('SOURCE_CHANGED', `s3://${bucket}/${key} was replaced while we were reading it`);
}
