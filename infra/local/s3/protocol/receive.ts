import { crc32 } from 'node:zlib';
import { GiB } from '../../../../lib/units.ts';
import type { Algorithm } from '../checksums/algorithms.ts';
import { S3Error } from '../s3-error.ts';
import type { Written } from '../store/blob-writer.ts';
import type { Blobs } from '../store/blobs.ts';
import { decodeAwsChunked } from './aws-chunked.ts';
import { type BodyClaims, bodyClaims } from './body-claims.ts';
import { BodyDigests, type Digested } from './body-digests.ts';
import { ChunkSignatures } from './chunk-signatures.ts';
import { header, type S3Request } from './request.ts';

/** The most that one PutObject, UploadPart or copy may carry, in bytes. */
export const MAX_PUT = 5 * GiB;

/** A body that is on disk and is what the client said. The references to its blobs are the caller's. */
export interface Received extends Written, Digested {}

/**
 * Writes a request's body to disk while it comes. Nothing stays on disk if this throws.
 * @param asked A checksum to compute in any case.
 * @throws S3Error `MissingContentLength`, `EntityTooLarge`, `IncompleteBody`, and what {@link BodyDigests} and
 *   {@link decodeAwsChunked} throw
 */
export async function receiveBlob(request: S3Request, blobs: Blobs, asked?: Algorithm): Promise<Received> {
  const claims = bodyClaims(request);
  const size = bodyLength(request, claims);
  if (size === undefined) throw new S3Error('MissingContentLength');
  if (size > MAX_PUT) throw new S3Error('EntityTooLarge', undefined, { details: { MaxSizeAllowed: String(MAX_PUT) } });
  const digests = new BodyDigests(claims, asked);
  const writer = blobs.writer(size);
  try {
    const trailers = new Map<string, string>();
    for await (const chunk of bodyOf(request, { claims, size, trailers })) {
      digests.update(chunk);
      await writer.write(chunk);
    }
    const written = await writer.finish();
    return { ...written, ...(await digests.verify(written.crc32, trailers)) };
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/**
 * A small body as text, checked like any other. Empty if there is none.
 * @throws S3Error `MalformedXML` if it is longer than `limit` bytes
 */
export async function receiveText(request: S3Request, limit: number): Promise<string> {
  const claims = bodyClaims(request);
  const size = bodyLength(request, claims) ?? 0;
  if (size > limit) throw new S3Error('MalformedXML');
  const digests = new BodyDigests(claims);
  const trailers = new Map<string, string>();
  const chunks: Buffer[] = [];
  for await (const chunk of bodyOf(request, { claims, size, trailers })) {
    digests.update(chunk);
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  await digests.verify(crc32(body), trailers);
  return body.toString('utf8');
}

/** The length that the client announced, in bytes, of the body without its encoding. */
function bodyLength(request: S3Request, { streaming }: BodyClaims): number | undefined {
  const text = header(request, streaming === undefined ? 'content-length' : 'x-amz-decoded-content-length');
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new S3Error('InvalidArgument', 'The announced length is not a number.');
  return Number(text);
}

interface Expected {
  readonly claims: BodyClaims;
  readonly size: number;
  /** Filled when the body has ended. */
  readonly trailers: Map<string, string>;
}

/** The body's bytes, exactly `size` of them. Ends with ECONNRESET if the client goes away. */
async function* bodyOf(request: S3Request, { claims, size, trailers }: Expected): AsyncGenerator<Buffer> {
  request.transfer.proceed();
  // The connection must survive a body that is refused halfway: the answer goes out on it, and the next request comes in.
  const source = request.message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  let received = 0;
  for await (const chunk of decoded(request, source, claims, trailers)) {
    received += chunk.length;
    request.transfer.received(chunk.length);
    if (received > size) throw new S3Error('IncompleteBody');
    yield chunk;
  }
  if (received < size) throw new S3Error('IncompleteBody');
}

function decoded(
  { signed }: S3Request,
  source: AsyncIterable<Buffer>,
  { streaming }: BodyClaims,
  trailers: Map<string, string>,
): AsyncIterable<Buffer> {
  if (streaming === undefined) return source;
  if (!streaming.signed) return decodeAwsChunked(source, trailers, { trailer: true });
  if (signed === undefined) throw new S3Error('InvalidRequest', 'Signed chunks need a signature in the headers.');
  return decodeAwsChunked(source, trailers, { trailer: streaming.trailer, signatures: new ChunkSignatures(signed) });
}
