import type { ByteRange } from '../../../../lib/ranges.ts';
import { S3Error } from '../s3-error.ts';

/**
 * What a `Range` header asks of an object of `size` bytes: one range, cut to the object. Undefined for the whole object:
 * without the header, or with one that is not a single byte range, which S3 ignores.
 * @throws S3Error `InvalidRange` if the range holds no byte of the object; no range holds one of an empty object.
 */
export function parseRange(text: string | undefined, size: number): ByteRange | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(text ?? '') ?? [];
  if (first === undefined || last === undefined || first + last === '') return undefined;
  if (first !== '' && last !== '' && Number(first) > Number(last)) return undefined;
  const start = first === '' ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(Number(last) + 1, size);
  if (start < end) return { start, end };
  const details = { RangeRequested: text ?? '', ActualObjectSize: String(size) };
  throw new S3Error('InvalidRange', undefined, { details, headers: { 'Content-Range': `bytes */${size}` } });
}

/**
 * What `x-amz-copy-source-range` asks of a source of `size` bytes. Unlike `Range` it must be exact.
 * @throws S3Error `InvalidArgument` if it is not `bytes=FIRST-LAST` or runs past the source
 */
export function parseCopyRange(text: string, size: number): ByteRange {
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(text) ?? [];
  const start = Number(first);
  const end = Number(last) + 1;
  const details = { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: text };
  if (first === undefined || last === undefined || start >= end) {
    const message =
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy';
    throw new S3Error('InvalidArgument', message, { details });
  }
  if (end > size)
    throw new S3Error('InvalidArgument', `Range specified is not valid for source object of size: ${size}`, {
      details,
    });
  return { start, end };
}
