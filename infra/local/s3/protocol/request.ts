import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { S3Error } from '../s3-error.ts';
import type { Signed } from './chunk-signatures.ts';

const MAX_KEY_BYTES = 1024;

/** A request, taken apart. */
export interface S3Request {
  readonly id: string;
  readonly method: string;
  /** The path, percent-decoded once, as the signature covers it. */
  readonly path: string;
  /** Empty for the service itself. */
  readonly bucket: string;
  /** Empty for the bucket itself. */
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: IncomingHttpHeaders;
  readonly message: IncomingMessage;
  readonly transfer: Transfer;
  /** Its signature, once that has been checked. */
  readonly signed?: Signed;
}

/** What the reading of a body tells the server. */
export interface Transfer {
  /** To be called before the first byte is read: a client that waits for it then sends (`Expect: 100-continue`). */
  readonly proceed: () => void;
  /** To be called for what has been read. */
  readonly received: (bytes: number) => void;
}

/**
 * Takes a path-style request apart. The path is used as it came: `//` and `..` are characters of a key like any other.
 * @throws S3Error `InvalidURI`, `KeyTooLongError`
 */
export function parseRequest(message: IncomingMessage, id: string, transfer: Transfer): S3Request {
  const [rawPath = '', ...rest] = (message.url ?? '').split('?');
  if (!rawPath.startsWith('/')) throw new S3Error('InvalidURI');
  const path = decode(rawPath);
  const [, bucket = '', slash, key = ''] = /^\/([^/]*)(\/?)(.*)$/s.exec(path) ?? [];
  if (bucket === '' && slash !== '') throw new S3Error('InvalidURI');
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw new S3Error('KeyTooLongError');
  const { method = '', headers } = message;
  return { id, method, path, bucket, key, query: parseQuery(rest.join('?')), headers, message, transfer };
}

function parseQuery(raw: string): Map<string, string> {
  const query = new Map<string, string>();
  for (const pair of raw.split('&')) {
    if (pair === '') continue;
    const [name = '', ...value] = pair.split('=');
    query.set(decode(name.replaceAll('+', ' ')), decode(value.join('=').replaceAll('+', ' ')));
  }
  return query;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error('InvalidURI');
  }
}

/** The one value of a header, or undefined. */
export function header(request: Pick<S3Request, 'headers'>, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

/**
 * A whole number from a query parameter. @returns `otherwise` if it is not there.
 * @throws S3Error `InvalidArgument` if it is not a number from `min` to `max`.
 */
export function integer(
  request: S3Request,
  name: string,
  { min = 0, max, otherwise }: { min?: number; max: number; otherwise: number },
): number {
  const text = request.query.get(name);
  if (text === undefined) return otherwise;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  const message = `${name} must be an integer between ${min} and ${max}, inclusive`;
  throw new S3Error('InvalidArgument', message, { details: { ArgumentName: name, ArgumentValue: text } });
}
