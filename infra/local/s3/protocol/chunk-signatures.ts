import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { S3Error } from '../s3-error.ts';

/** A request's own signature, and what it was made with: signed chunks go on from it. */
export interface Signed {
  /** `x-amz-date` */
  readonly time: string;
  readonly scope: string;
  readonly key: Buffer;
  /** Hex. */
  readonly signature: string;
}

const sha256 = (data: string): string => createHash('sha256').update(data).digest('hex');
const OF_NOTHING = sha256('');

/**
 * The chain of signatures of an `aws-chunked` body: each chunk's covers its bytes and the signature before it, so that
 * none can be changed, left out, added or moved.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 */
export class ChunkSignatures {
  readonly #signed: Signed;
  #previous: string;

  constructor(signed: Signed) {
    this.#signed = signed;
    this.#previous = signed.signature;
  }

  /** @param digest SHA-256 of the chunk's bytes in hex. @throws S3Error `SignatureDoesNotMatch` */
  checkChunk(digest: string, given: string | undefined): void {
    this.#check('AWS4-HMAC-SHA256-PAYLOAD', [OF_NOTHING, digest], given);
  }

  /** The trailers' signature comes last, as a trailer itself. @throws S3Error `SignatureDoesNotMatch` */
  checkTrailers(trailers: ReadonlyMap<string, string>, given: string | undefined): void {
    const text = [...trailers].map(([name, value]) => `${name}:${value}\n`).join('');
    this.#check('AWS4-HMAC-SHA256-TRAILER', [sha256(text)], given);
  }

  #check(kind: string, digests: readonly string[], given = ''): void {
    const { key, time, scope } = this.#signed;
    const toSign = [kind, time, scope, this.#previous, ...digests].join('\n');
    const expected = createHmac('sha256', key).update(toSign).digest();
    const actual = Buffer.from(given, 'hex');
    if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) {
      throw new S3Error('SignatureDoesNotMatch', undefined, { details: { StringToSign: toSign } });
    }
    this.#previous = given;
  }
}
