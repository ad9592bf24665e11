import { createHash } from 'node:crypto';
import { ALGORITHMS, type Algorithm, base64, headerOf } from '../checksums/algorithms.ts';
import { crc32Value } from '../checksums/crc32-combine.ts';
import { S3Error } from '../s3-error.ts';
import { type BodyClaims, parseChecksum } from './body-claims.ts';

/** What a body turned out to be. MD5 in hex. */
export interface Digested {
  readonly md5: string;
  /** The checksum that the client gave, which is now known to be right. */
  readonly checksum: BodyClaims['checksum'];
  /** The checksum that was asked for, in base64. */
  readonly asked: string | undefined;
}

/** Computes, while a body passes, the digests that were claimed, one that is asked for besides, and MD5 for the ETag. */
export class BodyDigests {
  readonly #claims: BodyClaims;
  readonly #asked: Algorithm | undefined;
  readonly #md5 = createHash('md5');
  readonly #sha256;
  readonly #hashers;

  constructor(claims: BodyClaims, asked?: Algorithm) {
    this.#claims = claims;
    this.#asked = asked;
    this.#sha256 = claims.contentSha256 === undefined ? undefined : createHash('sha256');
    const wanted = new Set([claims.checksum?.algorithm, claims.trailer, asked]);
    wanted.delete('CRC32'); // whoever stores the bytes has it already
    this.#hashers = new Map([...wanted].flatMap((name) => (name ? [[name, ALGORITHMS[name].begin()]] : [])));
  }

  update(chunk: Uint8Array): void {
    this.#md5.update(chunk);
    this.#sha256?.update(chunk);
    for (const hasher of this.#hashers.values()) hasher.update(chunk);
  }

  /**
   * Compares what was claimed with what came. `trailers` are those of the body, by name.
   * @throws S3Error `XAmzContentSHA256Mismatch`, `BadDigest`, `MalformedTrailerError`
   */
  async verify(crc32: number, trailers: ReadonlyMap<string, string>): Promise<Digested> {
    const { contentSha256, contentMd5 } = this.#claims;
    if (contentSha256 !== undefined && this.#sha256?.digest('hex') !== contentSha256)
      throw new S3Error('XAmzContentSHA256Mismatch');
    const md5 = this.#md5.digest();
    if (contentMd5 !== undefined && md5.toString('base64') !== contentMd5) {
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
    }
    const computed = new Map<Algorithm, string>([['CRC32', crc32Value(crc32)]]);
    for (const [algorithm, hasher] of this.#hashers) computed.set(algorithm, base64(await hasher.digest()));
    const checksum = this.#claims.checksum ?? this.#trailing(trailers);
    if (checksum !== undefined && computed.get(checksum.algorithm) !== checksum.value) {
      throw new S3Error('BadDigest', `The ${checksum.algorithm} you specified did not match the calculated checksum.`);
    }
    return { md5: md5.toString('hex'), checksum, asked: this.#asked && computed.get(this.#asked) };
  }

  #trailing(trailers: ReadonlyMap<string, string>): BodyClaims['checksum'] {
    const { trailer } = this.#claims;
    if (trailer === undefined) return undefined;
    const sent = trailers.get(headerOf(trailer));
    if (sent === undefined) throw new S3Error('MalformedTrailerError');
    return parseChecksum(trailer, sent);
  }
}
