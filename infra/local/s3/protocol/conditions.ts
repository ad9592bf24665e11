import { S3Error } from '../s3-error.ts';
import type { WriteCondition } from '../store/object-index.ts';
import type { ObjectSummary } from '../store/records.ts';
import { header, type S3Request } from './request.ts';

const unquote = (etag: string): string => etag.trim().replace(/^"(.*)"$/, '$1');

/** Whether a list of ETags as in If-Match names this one. */
function names(list: string, etag: string): boolean {
  return list.trim() === '*' || list.split(',').some((item) => unquote(item) === etag);
}

/** Whether the object was last modified after a header's date, by whole seconds. Undefined without a valid header. */
function isAfter(object: ObjectSummary, date: string | undefined): boolean | undefined {
  const time = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(time) ? undefined : Math.floor(object.lastModified / 1000) > Math.floor(time / 1000);
}

/**
 * The conditions on a read: headers `If-Match` and its like, or with the prefix `x-amz-copy-source-`.
 * @throws S3Error `PreconditionFailed`; `NotModified` on a plain read
 * @see RFC 9110 § 13.2.2 for which of them wins
 */
export function checkRead(request: S3Request, object: ObjectSummary, prefix: '' | 'x-amz-copy-source-' = ''): void {
  const value = (name: string) => header(request, `${prefix}${name}`);
  const fail = (condition: string) =>
    new S3Error('PreconditionFailed', undefined, { details: { Condition: prefix + condition } });
  const match = value('if-match');
  if (match !== undefined) {
    if (!names(match, object.etag)) throw fail('If-Match');
  } else if (isAfter(object, value('if-unmodified-since')) === true) throw fail('If-Unmodified-Since');
  const noneMatch = value('if-none-match');
  const same =
    noneMatch === undefined ? isAfter(object, value('if-modified-since')) === false : names(noneMatch, object.etag);
  if (!same) return;
  if (prefix !== '') throw fail('If-None-Match');
  const headers = { ETag: `"${object.etag}"`, 'Last-Modified': new Date(object.lastModified).toUTCString() };
  throw new S3Error('NotModified', undefined, { headers });
}

/**
 * The conditions on a write: `If-None-Match: *` and `If-Match: ETAG`. `wasDeleted` says whether the key was deleted since
 * the request came in: a write that wants the key to be free does not win that race, but is told to begin again.
 * @throws S3Error `NotImplemented` for other forms. The condition throws `PreconditionFailed`, `ConditionalRequestConflict`,
 *   or `NoSuchKey` where If-Match finds nothing.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 */
export function writeCondition(request: S3Request, wasDeleted: () => boolean = () => false): WriteCondition {
  const noneMatch = header(request, 'if-none-match');
  const match = header(request, 'if-match');
  if (noneMatch !== undefined && noneMatch !== '*')
    throw new S3Error('NotImplemented', 'If-None-Match can only be * here.');
  return (current) => {
    if (noneMatch !== undefined && current !== undefined)
      throw new S3Error('PreconditionFailed', undefined, { details: { Condition: 'If-None-Match' } });
    if (noneMatch !== undefined && wasDeleted())
      throw new S3Error('ConditionalRequestConflict', undefined, {
        details: { Condition: 'If-None-Match', Key: request.key },
      });
    if (match === undefined) return;
    if (current === undefined) throw new S3Error('NoSuchKey');
    if (!names(match, current.etag))
      throw new S3Error('PreconditionFailed', undefined, { details: { Condition: 'If-Match' } });
  };
}
