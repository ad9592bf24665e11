import { createHash } from 'node:crypto';
import { S3Error } from '../s3-error.ts';
import type { Checksum } from '../store/records.ts';
import { header, type S3Request } from './request.ts';

export type Algorithm = Checksum['algorithm'];

/** Bytes of each checksum that is computed here. */
const ALGORITHMS: Readonly<Record<string, { readonly algorithm: Algorithm; readonly bytes: number }>> = {
  'x-amz-checksum-crc32': { algorithm: 'CRC32', bytes: 4 },
  'x-amz-checksum-sha1': { algorithm: 'SHA1', bytes: 20 },
  'x-amz-checksum-sha256': { algorithm: 'SHA256', bytes: 32 },
};
/** Known to S3, but not computed here: better refused by name than kept unverified. */
const NOT_COMPUTED = [
  'x-amz-checksum-crc32c',
  'x-amz-checksum-crc64nvme',
  'x-amz-checksum-md5',
  'x-amz-checksum-sha512',
];

export const STREAMING_UNSIGNED = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

/** What a request claims about its body. */
export interface BodyClaims {
  /** Hex. Undefined for a payload that is not signed. */
  readonly contentSha256: string | undefined;
  /** Base64. */
  readonly contentMd5: string | undefined;
  readonly checksum: { readonly algorithm: Algorithm; readonly value: string } | undefined;
  /** The checksum that will follow an aws-chunked body: its header's name. */
  readonly trailer: string | undefined;
}

const isBase64Of = (text: string, bytes: number): boolean => {
  const decoded = Buffer.from(text, 'base64');
  return decoded.length === bytes && decoded.toString('base64') === text;
};

/** A checksum value that a header or trailer gives. @throws S3Error `InvalidRequest` if it is not base64 of its length. */
export function parseChecksum(name: string, value: string): { algorithm: Algorithm; value: string } {
  const known = ALGORITHMS[name];
  if (known === undefined) throw new S3Error('NotImplemented', `${name} is not implemented.`);
  if (!isBase64Of(value, known.bytes)) throw new S3Error('InvalidRequest', `Value for ${name} header is invalid.`);
  return { algorithm: known.algorithm, value };
}

/** @throws S3Error `NotImplemented`, `InvalidRequest`, `InvalidDigest`, `InvalidArgument` for claims that no body can meet. */
export function bodyClaims(request: S3Request): BodyClaims {
  const names = Object.keys(request.headers);
  const refused = [...names, header(request, 'x-amz-trailer') ?? ''].find((name) => NOT_COMPUTED.includes(name));
  if (refused !== undefined) throw new S3Error('NotImplemented', `${refused} is not implemented.`);
  const given = names.filter((name) => name in ALGORITHMS);
  const trailer = header(request, 'x-amz-trailer');
  if (given.length + (trailer === undefined ? 0 : 1) > 1) {
    throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header');
  }
  if (trailer !== undefined && !(trailer in ALGORITHMS))
    throw new S3Error('InvalidRequest', `The trailer ${trailer} is not supported.`);
  if (header(request, 'x-amz-sdk-checksum-algorithm') !== undefined && given.length === 0 && trailer === undefined) {
    const message =
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.';
    throw new S3Error('InvalidRequest', message);
  }
  const contentMd5 = header(request, 'content-md5');
  if (contentMd5 !== undefined && !isBase64Of(contentMd5, 16)) throw new S3Error('InvalidDigest');
  const [name] = given;
  const checksum = name === undefined ? undefined : parseChecksum(name, header(request, name) ?? '');
  return { contentSha256: contentSha256(request), contentMd5, checksum, trailer };
}

function contentSha256(request: S3Request): string | undefined {
  const value = header(request, 'x-amz-content-sha256');
  if (value === undefined)
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  if (value === 'UNSIGNED-PAYLOAD' || value === STREAMING_UNSIGNED) return undefined;
  if (value.startsWith('STREAMING-')) throw new S3Error('NotImplemented', `${value} is not implemented.`);
  if (/^[0-9a-f]{64}$/.test(value)) return value;
  throw new S3Error(
    'InvalidArgument',
    'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a valid sha256 value.',
  );
}

/** CRC32 as S3 writes it: base64 of its four bytes, the highest first. */
export function crc32Value(crc32: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32);
  return bytes.toString('base64');
}

/** Computes, while a body passes, the digests that were claimed, and MD5 for the ETag. */
export class BodyDigests {
  readonly #claims: BodyClaims;
  readonly #md5 = createHash('md5');
  readonly #sha1;
  readonly #sha256;

  constructor(claims: BodyClaims) {
    const algorithms = [claims.checksum?.algorithm, ALGORITHMS[claims.trailer ?? '']?.algorithm];
    this.#claims = claims;
    this.#sha1 = algorithms.includes('SHA1') ? createHash('sha1') : undefined;
    this.#sha256 =
      claims.contentSha256 !== undefined || algorithms.includes('SHA256') ? createHash('sha256') : undefined;
  }

  update(chunk: Uint8Array): void {
    this.#md5.update(chunk);
    this.#sha1?.update(chunk);
    this.#sha256?.update(chunk);
  }

  /**
   * Compares what was claimed with what came. `trailers` are those of the body, by name.
   * @returns MD5 in hex, and the checksum that the client gave, which is now known to be right
   * @throws S3Error `XAmzContentSHA256Mismatch`, `BadDigest`, `MalformedTrailerError`
   */
  verify(crc32: number, trailers: ReadonlyMap<string, string>): { md5: string; checksum: BodyClaims['checksum'] } {
    const { contentSha256, contentMd5, trailer } = this.#claims;
    const sha256 = this.#sha256?.digest();
    if (contentSha256 !== undefined && sha256?.toString('hex') !== contentSha256)
      throw new S3Error('XAmzContentSHA256Mismatch');
    const md5 = this.#md5.digest();
    if (contentMd5 !== undefined && md5.toString('base64') !== contentMd5) {
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
    }
    const sent = trailer === undefined ? undefined : trailers.get(trailer);
    if (trailer !== undefined && sent === undefined) throw new S3Error('MalformedTrailerError');
    const checksum = trailer !== undefined && sent !== undefined ? parseChecksum(trailer, sent) : this.#claims.checksum;
    if (checksum !== undefined) {
      const computed = {
        CRC32: () => crc32Value(crc32),
        SHA1: () => this.#sha1?.digest('base64'),
        SHA256: () => sha256?.toString('base64'),
      };
      if (computed[checksum.algorithm]() !== checksum.value) {
        throw new S3Error(
          'BadDigest',
          `The ${checksum.algorithm} you specified did not match the calculated checksum.`,
        );
      }
    }
    return { md5: md5.toString('hex'), checksum };
  }
}
