import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import pRetry from 'p-retry';
import { UnqcowError } from '../errors.ts';
import { assertWithin, type ByteRange } from '../ranges.ts';
import { KiB } from '../units.ts';
import type { OpenSource, ReadOptions } from './byte-source.ts';
import type { Meter } from './metered.ts';
import { asSourceError, isWorthRetrying, type Place } from './s3-errors.ts';
import { withHead } from './with-head.ts';

/** Where an object lies, and optionally which version of it is meant. */
export interface S3Location {
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

export interface S3SourceOptions {
  /** Counts every attempt, the one that opens included. */
  readonly meter?: Meter;
  /** Tries per read, the first included. */
  readonly attempts?: number;
  /** Milliseconds that one attempt may take, its body included. */
  readonly timeout?: number;
  /** The longest pause between two tries, in milliseconds. */
  readonly maxPause?: number;
}

export interface S3Source extends OpenSource {
  readonly pin: S3Pin;
}

const HEAD_LENGTH = 64 * KiB;

/**
 * Opens an object by fetching its first 64 KiB, which also tells its size, ETag and version: one GET. Reads inside those
 * bytes are free afterwards. An empty object costs a HEAD more, since S3 answers 416 to a range of nothing.
 *
 * @throws UnqcowError `SOURCE_NOT_FOUND`, `SOURCE_DENIED`, `SOURCE_UNAVAILABLE`; `SOURCE_CHANGED` if the location names an
 * ETag and the object has another.
 */
export async function openS3(client: S3Client, location: S3Location, options: S3SourceOptions = {}): Promise<S3Source> {
  const place: Place = { ...location, pinned: location.etag !== undefined };
  return retried(place, options, async (signal) => {
    const answer = await client
      .send(new GetObjectCommand({ ...objectOf(location), Range: `bytes=0-${HEAD_LENGTH - 1}` }), {
        abortSignal: signal,
      })
      .catch((error) => {
        if (error?.$metadata?.httpStatusCode === 416) return undefined;
        throw error;
      });
    if (!answer) return s3Source(client, await headOf(client, location, signal), options);
    const pin = orDestroyed(answer, () => pinOf(location, answer, sizeOf(answer, { start: 0, end: HEAD_LENGTH })));
    const head = new Uint8Array(Math.min(HEAD_LENGTH, pin.size));
    await drain(answer, head, 0, signal, options.meter);
    const source = s3Source(client, pin, options);
    return { ...withHead(source, head), pin };
  });
}

/** Reads an object that was pinned before. Costs nothing until it is read; then one GET per read. */
export function s3Source(client: S3Client, pin: S3Pin, options: S3SourceOptions = {}): S3Source {
  const place: Place = { ...pin, pinned: true };
  return {
    pin,
    size: pin.size,
    id: `s3://${pin.bucket}/${pin.key}#${pin.versionId ?? ''}#${pin.etag}`,
    async read(range: ByteRange, { signal, into }: ReadOptions = {}) {
      signal?.throwIfAborted();
      assertWithin(range, pin.size);
      const bytes = into ?? new Uint8Array(range.end - range.start);
      if (bytes.length === 0) return bytes;
      let done = 0; // a body that was cut short is taken up again where it ended
      await retried(place, { ...options, signal }, async (attempt) => {
        const answer = await getRange(client, pin, { start: range.start + done, end: range.end }, attempt);
        await drain(answer, bytes, done, attempt, options.meter, (received) => {
          done = received;
        });
      });
      return bytes;
    },
    async verify() {
      const now = await retried(place, options, (signal) => headOf(client, pin, signal));
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

/** Runs one request with a timeout per attempt, tries again with backoff and jitter, and speaks in our own errors. */
async function retried<T>(
  place: Place,
  options: S3SourceOptions & { readonly signal?: AbortSignal | undefined },
  request: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { meter, attempts = 5, timeout = 30_000, maxPause = 5_000, signal } = options;
  try {
    return await pRetry(
      () => {
        if (meter) meter.requests += 1;
        const limit = AbortSignal.timeout(timeout);
        return request(signal ? AbortSignal.any([signal, limit]) : limit);
      },
      {
        retries: attempts - 1,
        minTimeout: Math.min(100, maxPause),
        maxTimeout: maxPause,
        randomize: true,
        ...(signal ? { signal } : {}),
        shouldRetry: ({ error }) => isWorthRetrying(error),
      },
    );
  } catch (error) {
    signal?.throwIfAborted();
    throw asSourceError(place, error);
  }
}

/** Puts a body into `into` from `at` on. @throws if it is shorter or longer than what is left there. */
async function drain(
  answer: GetObjectCommandOutput,
  into: Uint8Array,
  at: number,
  signal: AbortSignal,
  meter?: Meter,
  received: (end: number) => void = () => {},
): Promise<void> {
  const stop = () => destroy(answer);
  signal.addEventListener('abort', stop, { once: true });
  let end = at;
  try {
    for await (const chunk of answer.Body as AsyncIterable<Uint8Array>) {
      const next = end + chunk.length;
      const isTooLong = next > into.length;
      end = isTooLong ? at : next; // nothing of a body that runs past the range is to be trusted
      received(end);
      if (isTooLong) throw new Error('the body is longer than the range');
      into.set(chunk, next - chunk.length);
      if (meter) meter.bytes += chunk.length;
    }
  } catch (error) {
    if (end < into.length) throw error; // else all is there, and what became of the connection does not matter
  } finally {
    signal.removeEventListener('abort', stop);
  }
  if (end === into.length) return;
  signal.throwIfAborted();
  throw new Error(`the body ended after ${end - at} of ${into.length - at} bytes`);
}

async function headOf(client: S3Client, location: S3Location, signal: AbortSignal): Promise<S3Pin> {
  const answer = await client.send(new HeadObjectCommand(objectOf(location)), { abortSignal: signal });
  return pinOf(location, answer, answer.ContentLength ?? 0);
}

function objectOf({ bucket, key, versionId, etag }: S3Location) {
  return { Bucket: bucket, Key: key, VersionId: versionId, IfMatch: etag };
}

function pinOf(location: S3Location, answer: GetObjectCommandOutput | HeadObjectCommandOutput, size: number): S3Pin {
  const { VersionId: versionId = location.versionId } = answer;
  const etag = etagOf(answer);
  if (location.etag && location.etag !== etag) throw changed(location);
  return { bucket: location.bucket, key: location.key, ...(versionId ? { versionId } : {}), etag, size };
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

/** What `check` makes of an answer; if it refuses it, the rest of the body is not waited for. */
function orDestroyed<T>(answer: GetObjectCommandOutput, check: () => T): T {
  try {
    return check();
  } catch (error) {
    destroy(answer);
    throw error;
  }
}

function destroy(answer: GetObjectCommandOutput): void {
  (answer.Body as { destroy?: () => void } | undefined)?.destroy?.();
}

function changed({ bucket, key }: S3Location): UnqcowError {
  return new UnqcowError('SOURCE_CHANGED', `s3://${bucket}/${key} was replaced while we were reading it`);
}
