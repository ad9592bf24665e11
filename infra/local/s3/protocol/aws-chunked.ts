import { createHash, type Hash } from 'node:crypto';
import { S3Error } from '../s3-error.ts';
import type { ChunkSignatures } from './chunk-signatures.ts';

/** A chunk's size line or a trailer line may be this long, in bytes. */
const MAX_LINE = 4096;
/** Every chunk but the last has at least this many bytes. */
const MIN_CHUNK = 8192;
const TRAILER_SIGNATURE = 'x-amz-trailer-signature';

interface Expected {
  /** Whether trailers may follow the last chunk. */
  readonly trailer: boolean;
  /** Given if chunks and trailers are signed. */
  readonly signatures?: ChunkSignatures;
}

/**
 * Decodes the `aws-chunked` content encoding: `SIZE[;chunk-signature=HEX] CRLF bytes CRLF … 0 CRLF name:value CRLF … CRLF`,
 * sizes in hex. Yields views of what comes in, and copies no data; of a signed chunk they are known to be right only when
 * the next one begins, or the body ends.
 *
 * @param trailers Filled, names in lower case, by the time that the last bytes have been yielded.
 * @throws S3Error `IncompleteBody` if the encoding is broken or cut short, `InvalidChunkSizeError`,
 *   `MalformedTrailerError`, `SignatureDoesNotMatch`
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
  expected: Expected,
): AsyncGenerator<Buffer> {
  const decoder = new ChunkDecoder(trailers, expected);
  for await (const piece of source) yield* decoder.push(piece);
  if (!decoder.ended) throw new S3Error('IncompleteBody');
}

class ChunkDecoder {
  readonly #trailers: Map<string, string>;
  readonly #expected: Expected;
  #state: 'size' | 'data' | 'data-end' | 'trailer' | 'end' = 'size';
  #line = '';
  #chunk = {
    size: MIN_CHUNK,
    left: 0,
    hash: undefined as Hash | undefined,
    signature: undefined as string | undefined,
  };

  constructor(trailers: Map<string, string>, expected: Expected) {
    this.#trailers = trailers;
    this.#expected = expected;
  }

  get ended(): boolean {
    return this.#state === 'end';
  }

  *push(piece: Buffer): Generator<Buffer> {
    for (let rest = piece; rest.length > 0; ) {
      if (this.#state === 'data') {
        const data = rest.subarray(0, this.#chunk.left);
        this.#chunk.hash?.update(data);
        this.#chunk.left -= data.length;
        rest = rest.subarray(data.length);
        if (this.#chunk.left === 0) this.#state = 'data-end';
        yield data;
        continue;
      }
      const end = rest.indexOf(0x0a);
      this.#line += rest.subarray(0, end === -1 ? rest.length : end + 1).toString('latin1');
      if (this.#line.length > MAX_LINE) throw broken('A line of the aws-chunked encoding is too long.');
      if (end === -1) return;
      rest = rest.subarray(end + 1);
      this.#endLine(this.#line.replace(/\r?\n$/, ''));
      this.#line = '';
    }
  }

  #endLine(line: string): void {
    if (this.#state === 'size') this.#beginChunk(line);
    else if (this.#state === 'data-end') {
      if (line !== '') throw broken('A chunk of the aws-chunked encoding is longer than its size.');
      this.#checkChunk();
      this.#state = 'size';
    } else if (this.#state === 'trailer') {
      if (line !== '') this.#addTrailer(line);
      else this.#end();
    } else throw broken('There are bytes after the end of the aws-chunked encoding.');
  }

  #beginChunk(line: string): void {
    const [, hex, extensions = ''] = /^([0-9a-fA-F]{1,12})(;.*)?$/.exec(line) ?? [];
    if (hex === undefined) throw broken('A chunk of the aws-chunked encoding has no valid size.');
    const size = Number.parseInt(hex, 16);
    if (size > 0 && this.#chunk.size < MIN_CHUNK) throw new S3Error('InvalidChunkSizeError');
    const [, signature] = /;chunk-signature=([0-9a-f]{64})$/.exec(extensions) ?? [];
    const hash = this.#expected.signatures && createHash('sha256');
    this.#chunk = { size, left: size, hash, signature };
    this.#state = size > 0 ? 'data' : 'trailer';
    if (size === 0) this.#checkChunk();
  }

  #checkChunk(): void {
    const { hash, signature } = this.#chunk;
    if (hash !== undefined) this.#expected.signatures?.checkChunk(hash.digest('hex'), signature);
  }

  #addTrailer(line: string): void {
    const [, name, value] = /^([\w-]+)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined || !this.#expected.trailer)
      throw new S3Error('MalformedTrailerError');
    this.#trailers.set(name.toLowerCase(), value);
  }

  #end(): void {
    const given = this.#trailers.get(TRAILER_SIGNATURE);
    this.#trailers.delete(TRAILER_SIGNATURE);
    if (this.#expected.trailer) this.#expected.signatures?.checkTrailers(this.#trailers, given);
    this.#state = 'end';
  }
}

const broken = (message: string) => new S3Error('IncompleteBody', message);
