import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { inS3Words, type S3Terms } from './s3.ts';
import { type RetryOptions, retried } from './s3-retried.ts';

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  /** As S3's answers have it, in double quotes. */
  readonly etag: string;
  readonly lastModified: Date;
}

export interface ListRequest extends S3Terms {
  readonly bucket: string;
  readonly prefix: string;
  /** Only keys after this one, in the order of their UTF-8 bytes. */
  readonly after?: string | undefined;
  /** Objects and prefixes at most: 1 to 1,000. */
  readonly limit: number;
  /** Keys that have it behind the prefix are summed up, up to it. */
  readonly delimiter?: string | undefined;
}

export interface ListedPage {
  readonly objects: readonly ListedObject[];
  readonly prefixes: readonly string[];
  /** The key after which the list goes on, if it does. */
  readonly last: string | undefined;
}

/** Sorts after every other character. */
const LAST = '\u{10ffff}';

/**
 * Lists objects by prefix, a page at a time. Costs one request.
 *
 * @throws UnqcowError `SOURCE_NOT_FOUND`, `SOURCE_DENIED`, `SOURCE_UNAVAILABLE`.
 */
export async function listObjects(
  client: S3Client,
  { bucket, prefix, after, limit, delimiter, ...terms }: ListRequest,
  options: RetryOptions = {},
): Promise<ListedPage> {
  const place = { Bucket: bucket, Prefix: prefix, Delimiter: delimiter };
  const command = new ListObjectsV2Command({ ...place, ...inS3Words(terms), StartAfter: after, MaxKeys: limit });
  const page = await retried(client, { bucket, key: prefix, pinned: false }, options, (abortSignal) =>
    client.send(command, { abortSignal }),
  );
  const objects = (page.Contents ?? []).map(({ Key = '', Size = 0, ETag = '', LastModified = new Date(0) }) => ({
    key: Key,
    size: Size,
    etag: ETag,
    lastModified: LastModified,
  }));
  const prefixes = (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix);
  // What begins like a prefix is in it, so the list goes on after all of that.
  const ends = [objects.at(-1)?.key, prefixes.at(-1)?.concat(LAST)].filter((end) => end !== undefined);
  const [last] = ends.sort((a, b) => Buffer.compare(Buffer.from(b), Buffer.from(a)));
  return { objects, prefixes, last: page.IsTruncated === true ? last : undefined };
}
