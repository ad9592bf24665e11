import { S3Error } from '../s3-error.ts';
import type { Description } from '../store/records.ts';
import { keepingHeaders, keepingOf } from './keeping.ts';
import { header, type S3Request } from './request.ts';

const STORED_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
];
const METADATA = 'x-amz-meta-';
const MAX_METADATA = 2048;

/** What a request says about the object that it makes. @throws S3Error `MetadataTooLarge` past 2 KiB */
export function describe(request: S3Request): Description {
  const headers: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  for (const name of STORED_HEADERS) {
    const value = header(request, name);
    if (value !== undefined) headers[name] = value;
  }
  // aws-chunked is how the body came, not what the object is.
  const encodings = (headers['content-encoding'] ?? '').split(',').map((item) => item.trim());
  const kept = encodings.filter((item) => item !== '' && item !== 'aws-chunked').join(',');
  if (kept === '') delete headers['content-encoding'];
  else headers['content-encoding'] = kept;
  const names = Object.keys(request.headers).filter((name) => name.startsWith(METADATA));
  const metadata = Object.fromEntries(names.map((name) => [name.slice(METADATA.length), header(request, name) ?? '']));
  const size = Object.entries(metadata).reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value), 0);
  if (size > MAX_METADATA) throw new S3Error('MetadataTooLarge');
  return { headers, metadata, keeping: keepingOf(request) };
}

/** The answer's headers that give an object's description back. */
export function descriptionHeaders({ headers, metadata, keeping }: Description): Record<string, string> {
  return {
    ...headers,
    ...keepingHeaders(keeping),
    ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [METADATA + name, value])),
  };
}
