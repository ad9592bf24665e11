import { integer, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { formEncodePath } from '../protocol/uri-encode.ts';
import { S3Error } from '../s3-error.ts';
import { compareKeys } from '../store/compare-keys.ts';
import type { KeyVersions } from '../store/key-versions.ts';
import { OWNER } from './buckets.ts';
import type { Operation } from './operation.ts';

const PAGE = 1000;

export const listObjectsV2: Operation = async (request, { store }) => {
  const { versions } = store.buckets.get(request.bucket).objects;
  const encode = encoder(request);
  const { token, ...wanted } = parametersOfV2(request);
  const page = listPage(versions.sorted(), wanted);
  const result = {
    ...described(request, page.entries, versions, request.query.get('fetch-owner') === 'true'),
    Delimiter: wanted.delimiter === '' ? undefined : encode(wanted.delimiter),
    StartAfter: request.query.has('start-after') ? encode(request.query.get('start-after') ?? '') : undefined,
    MaxKeys: wanted.maxKeys,
    KeyCount: page.entries.length,
    IsTruncated: page.isTruncated,
    ContinuationToken: token,
    NextContinuationToken: page.isTruncated
      ? Buffer.from(page.entries.at(-1)?.key ?? '').toString('base64url')
      : undefined,
  };
  return { status: 200, body: toXml('ListBucketResult', result) };
};

/** The older form. It goes on after a key, and names that key only if there is a delimiter. */
export const listObjects: Operation = async (request, { store }) => {
  const { versions } = store.buckets.get(request.bucket).objects;
  const encode = encoder(request);
  const marker = request.query.get('marker') ?? '';
  const wanted = { ...parameters(request), ...startingAfter(request, marker) };
  const page = listPage(versions.sorted(), wanted);
  const result = {
    ...described(request, page.entries, versions, true),
    Marker: encode(marker),
    Delimiter: wanted.delimiter === '' ? undefined : encode(wanted.delimiter),
    MaxKeys: wanted.maxKeys,
    IsTruncated: page.isTruncated,
    NextMarker: page.isTruncated && wanted.delimiter !== '' ? encode(page.entries.at(-1)?.key ?? '') : undefined,
  };
  return { status: 200, body: toXml('ListBucketResult', result) };
};

/** What both forms say. */
function described(request: S3Request, entries: readonly Entry[], versions: KeyVersions, withOwner: boolean) {
  const encode = encoder(request);
  const contents = entries.flatMap(({ key, isPrefix }) => {
    const object = isPrefix ? undefined : versions.current(key);
    if (object === undefined) return [];
    return {
      Key: encode(key),
      LastModified: new Date(object.lastModified).toISOString(),
      ETag: `"${object.etag}"`,
      Size: object.size,
      StorageClass: 'STANDARD',
      Owner: withOwner ? OWNER : undefined,
    };
  });
  return {
    Name: request.bucket,
    Prefix: encode(request.query.get('prefix') ?? ''),
    EncodingType: request.query.get('encoding-type'),
    Contents: contents,
    CommonPrefixes: entries.filter(({ isPrefix }) => isPrefix).map(({ key }) => ({ Prefix: encode(key) })),
  };
}

/** How `encoding-type` wants keys written. @throws S3Error `InvalidArgument` for any but `url` */
export function encoder(request: S3Request): (text: string) => string {
  const encoding = request.query.get('encoding-type');
  if (encoding === undefined) return (text) => text;
  if (encoding === 'url') return formEncodePath;
  throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
}

function parameters(request: S3Request) {
  const { query } = request;
  const maxKeys = Math.min(integer(request, 'max-keys', { max: 2 ** 31 - 1, otherwise: PAGE }), PAGE);
  return { prefix: query.get('prefix') ?? '', delimiter: query.get('delimiter') ?? '', maxKeys };
}

function parametersOfV2(request: S3Request) {
  const { query } = request;
  if (query.get('list-type') !== '2') throw new S3Error('InvalidArgument', 'Invalid List Type specified in Request');
  const token = query.get('continuation-token');
  if (token === '') throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
  if (token === undefined) return { ...parameters(request), after: query.get('start-after') ?? '', token };
  return { ...parameters(request), ...startingAfter(request, Buffer.from(token, 'base64url').toString()), token };
}

/** A page's last entry ends in the delimiter if, and only if, it stands for several keys. */
function startingAfter({ query }: S3Request, after: string): Pick<Wanted, 'after' | 'rolled'> {
  const delimiter = query.get('delimiter') ?? '';
  const isPrefix = delimiter !== '' && after.startsWith(query.get('prefix') ?? '') && after.endsWith(delimiter);
  return { after, ...(isPrefix && { rolled: after }) };
}

interface Wanted {
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxKeys: number;
  /** Only keys after this one. */
  readonly after: string;
  /** The last entry of the page before, if it stood for all keys that start with it. */
  readonly rolled?: string;
}

interface Entry {
  readonly key: string;
  readonly isPrefix: boolean;
}

/**
 * One page of sorted keys: those that start with `prefix` and come after `after`, each run of keys that go on past the
 * next `delimiter` rolled up into one entry.
 */
function listPage(keys: readonly string[], wanted: Wanted): { entries: Entry[]; isTruncated: boolean } {
  const { prefix, delimiter, maxKeys, after } = wanted;
  const entries: Entry[] = [];
  let { rolled } = wanted;
  for (let i = firstFrom(keys, compareKeys(prefix, after) > 0 ? prefix : after); i < keys.length; i += 1) {
    const key = keys[i] ?? '';
    if (!key.startsWith(prefix)) break;
    if (compareKeys(key, after) <= 0 || (rolled !== undefined && key.startsWith(rolled))) continue;
    const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (entries.length === maxKeys) return { entries, isTruncated: maxKeys > 0 };
    rolled = end === -1 ? undefined : key.slice(0, end + delimiter.length);
    entries.push({ key: rolled ?? key, isPrefix: rolled !== undefined });
  }
  return { entries, isTruncated: false };
}

/** The index of the first key that is not before `bound`. */
function firstFrom(keys: readonly string[], bound: string): number {
  let low = 0;
  for (let high = keys.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] ?? '', bound) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
