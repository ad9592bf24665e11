import { S3Error } from '../s3-error.ts';

/** A chunk's size line or a trailer line may be this long, in bytes. */
const MAX_LINE = 4096;

/**
 * Decodes the `aws-chunked` content encoding, of the kind that ends in unsigned trailers:
 * `SIZE CRLF bytes CRLF … 0 CRLF name:value CRLF … CRLF`, sizes in hex. Yields views of what comes in, and copies no data.
 *
 * @param trailers Filled, names in lower case, by the time that the last bytes have been yielded.
 * @throws S3Error `IncompleteBody` if the encoding is broken or cut short, `MalformedTrailerError`
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer> {
  const decoder = new ChunkDecoder(trailers);
  for await (const piece of source) yield* decoder.push(piece);
  if (!decoder.ended) throw new S3Error('IncompleteBody');
}

class ChunkDecoder {
  readonly #trailers: Map<string, string>;
  #state: 'size' | 'data' | 'data-end' | 'trailer' | 'end' = 'size';
  #left = 0;
  #line = '';

  constructor(trailers: Map<string, string>) {
    this.#trailers = trailers;
  }

  get ended(): boolean {
    return this.#state === 'end';
  }

  *push(piece: Buffer): Generator<Buffer> {
    for (let rest = piece; rest.length > 0; ) {
      if (this.#state === 'data') {
        const data = rest.subarray(0, this.#left);
        this.#left -= data.length;
        rest = rest.subarray(data.length);
        if (this.#left === 0) this.#state = 'data-end';
        yield data;
        continue;
      }
      const end = rest.indexOf(0x0a);
      this.#line += rest.subarray(0, end === -1 ? rest.length : end + 1).toString('latin1');
      if (this.#line.length > MAX_LINE)
        throw new S3Error('IncompleteBody', 'A line of the aws-chunked encoding is too long.');
      if (end === -1) return;
      rest = rest.subarray(end + 1);
      this.#endLine(this.#line.replace(/\r?\n$/, ''));
      this.#line = '';
    }
  }

  #endLine(line: string): void {
    if (this.#state === 'size') {
      const [, size] = /^([0-9a-fA-F]{1,12})(?:;.*)?$/.exec(line) ?? [];
      if (size === undefined)
        throw new S3Error('IncompleteBody', 'A chunk of the aws-chunked encoding has no valid size.');
      this.#left = Number.parseInt(size, 16);
      this.#state = this.#left > 0 ? 'data' : 'trailer';
    } else if (this.#state === 'data-end') {
      if (line !== '')
        throw new S3Error('IncompleteBody', 'A chunk of the aws-chunked encoding is longer than its size.');
      this.#state = 'size';
    } else if (this.#state === 'trailer') {
      if (line === '') this.#state = 'end';
      else this.#addTrailer(line);
    } else throw new S3Error('IncompleteBody', 'There are bytes after the end of the aws-chunked encoding.');
  }

  #addTrailer(line: string): void {
    const [, name, value] = /^([\w-]+)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new S3Error('MalformedTrailerError');
    this.#trailers.set(name.toLowerCase(), value);
  }
}
