import { Readable } from 'node:stream';
import { type S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import pRetry from 'p-retry';
import { UnqcowError } from '../errors.ts';
import { statusOf } from '../http-status.ts';
import { combineCrc32, crc32Of, toBase64 } from './crc32.ts';
import { asDestinationError } from './s3-errors.ts';
import { etagOf } from './s3-request.ts';
import { nameOf, type Receipt, type Upload, uploadOf } from './s3-target.ts';

/** Bytes of a part, made anew each time that they are asked for. */
export interface StreamedBody {
  readonly length: number;
  readonly chunks: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
}

const TRIES = 3;
/** The making of the bytes counts: as long as a Lambda may run, in milliseconds. */
const TIMEOUT = 900_000;

/**
 * Uploads a part that is too large for memory while it is made. Its CRC-32 is known only at its end, so it travels in a
 * trailer. The SDK cannot send a stream twice, so this is where it is tried again: 3 times in all. Costs one request.
 *
 * @throws UnqcowError `DESTINATION_LIMIT` from a store that takes no trailers; as `putPart` does; what `chunks` throws.
 */
export async function putStreamedPart(
  client: S3Client,
  upload: Upload,
  number: number,
  body: StreamedBody,
  signal?: AbortSignal,
): Promise<Receipt> {
  const attempt = () => putOnce(client, upload, number, body, signal);
  return pRetry(attempt, {
    retries: TRIES - 1,
    minTimeout: 1_000,
    ...(signal ? { signal } : {}),
    shouldRetry: ({ error }) => error instanceof UnqcowError && error.code === 'DESTINATION_UNAVAILABLE',
  });
}

async function putOnce(
  client: S3Client,
  upload: Upload,
  number: number,
  { length, chunks }: StreamedBody,
  signal: AbortSignal | undefined,
): Promise<Receipt> {
  const stop = new AbortController();
  const made: Made = { crc32: 0, length: 0 };
  const either = AbortSignal.any([stop.signal, ...(signal ? [signal] : [])]);
  const stream = Readable.from(summed(chunks(either), length, made, stop), { objectMode: false });
  const command = new UploadPartCommand({
    ...uploadOf(upload),
    PartNumber: number,
    Body: stream,
    ContentLength: length,
    ChecksumAlgorithm: 'CRC32',
  });
  try {
    const answer = await client.send(command, { abortSignal: either, requestTimeout: TIMEOUT });
    const part = { number, length, etag: etagOf(upload, answer), crc32: toBase64(made.crc32) };
    const { ChecksumCRC32 = part.crc32 } = answer;
    if (ChecksumCRC32 !== part.crc32) {
      throw new UnqcowError('CHECKSUM_MISMATCH', `part ${number} has CRC-32 ${ChecksumCRC32}, not ${part.crc32}`);
    }
    return part;
  } catch (error) {
    signal?.throwIfAborted();
    if (made.failure) throw made.failure.reason;
    throw refusal(upload, error);
  } finally {
    stop.abort();
  }
}

/** What has been made of the body so far. */
interface Made {
  crc32: number;
  length: number;
  failure?: { readonly reason: unknown };
}

/**
 * What goes wrong is noted and stops the request: the SDK does not see a body fail, and would wait for the rest of it.
 * Nor does a body of another length than `length` become a part.
 */
async function* summed(body: AsyncIterable<Uint8Array>, length: number, made: Made, stop: AbortController) {
  try {
    for await (const chunk of body) {
      made.crc32 = combineCrc32(made.crc32, crc32Of(chunk), chunk.length);
      made.length += chunk.length;
      if (made.length > length) break;
      yield chunk;
    }
    if (made.length !== length) throw new UnqcowError('INTERNAL', `${made.length} bytes were made of ${length}`);
  } catch (reason) {
    made.failure = { reason };
    stop.abort();
  }
}

/** A length that is asked for, or a header that is not implemented: how stores say that they take no trailers. */
function refusal(upload: Upload, error: unknown): UnqcowError {
  const status = statusOf(error);
  if (status !== 411 && status !== 501) return asDestinationError(nameOf(upload), error);
  const message = `the disk needs parts over 512 MiB, which are streamed, and the store of ${nameOf(upload)} takes no checksum in a trailer`;
  return new UnqcowError('DESTINATION_LIMIT', message, { cause: error });
}
