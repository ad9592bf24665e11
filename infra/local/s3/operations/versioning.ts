import { KiB } from '../../../../lib/units.ts';
import { parseXml, textOf } from '../protocol/parse-xml.ts';
import { receiveText } from '../protocol/receive.ts';
import { integer, type S3Request } from '../protocol/request.ts';
import { toXml } from '../protocol/to-xml.ts';
import { S3Error } from '../s3-error.ts';
import { compareKeys } from '../store/compare-keys.ts';
import type { KeyVersions, Version } from '../store/key-versions.ts';
import { OWNER } from './buckets.ts';
import { encoder } from './list-objects.ts';
import type { Operation } from './operation.ts';

const PAGE = 1000;

export const getBucketVersioning: Operation = async (request, { store }) => {
  const { versioning } = store.buckets.get(request.bucket);
  return { status: 200, body: toXml('VersioningConfiguration', { Status: versioning }) };
};

/** @throws S3Error `IllegalVersioningConfigurationException`, `MalformedXML`, `NotImplemented` for MFA delete */
export const putBucketVersioning: Operation = async (request, { store }) => {
  store.buckets.get(request.bucket);
  const xml = parseXml(await receiveText(request, 64 * KiB), 'VersioningConfiguration', []);
  const status = textOf(xml, 'Status')?.trim();
  if (textOf(xml, 'MfaDelete')?.trim() === 'Enabled')
    throw new S3Error('NotImplemented', 'There is no MFA delete here.');
  if (status === undefined) throw new S3Error('IllegalVersioningConfigurationException');
  if (status !== 'Enabled' && status !== 'Suspended') throw new S3Error('MalformedXML');
  await store.buckets.setVersioning(request.bucket, status);
  return { status: 200 };
};

interface Wanted {
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxKeys: number;
  readonly keyMarker: string;
  /** The page begins after this version of `keyMarker`; without it after all of them. */
  readonly idMarker: string | undefined;
}

type Entry = { readonly prefix: string } | { readonly version: Version; readonly isLatest: boolean };

export const listObjectVersions: Operation = async (request, { store }) => {
  const { versions } = store.buckets.get(request.bucket).objects;
  const wanted = parameters(request);
  const encode = encoder(request);
  const { page, isTruncated } = pageOf(versions, wanted);
  const last = page.at(-1);
  const entries = page.flatMap((entry) => ('version' in entry ? [entry] : []));
  const describe = ({ version, isLatest }: (typeof entries)[number]) => ({
    Key: encode(version.key),
    VersionId: version.versionId,
    IsLatest: isLatest,
    LastModified: new Date(version.lastModified).toISOString(),
    ...(!version.isMarker && { ETag: `"${version.etag}"`, Size: version.size, StorageClass: 'STANDARD' }),
    Owner: OWNER,
  });
  const result = {
    Name: request.bucket,
    Prefix: encode(wanted.prefix),
    KeyMarker: encode(wanted.keyMarker),
    VersionIdMarker: wanted.idMarker ?? '',
    NextKeyMarker: isTruncated && last ? encode('prefix' in last ? last.prefix : last.version.key) : undefined,
    NextVersionIdMarker: isTruncated && last && 'version' in last ? last.version.versionId : undefined,
    MaxKeys: wanted.maxKeys,
    Delimiter: wanted.delimiter === '' ? undefined : encode(wanted.delimiter),
    EncodingType: request.query.get('encoding-type'),
    IsTruncated: isTruncated,
    Version: entries.filter(({ version }) => !version.isMarker).map(describe),
    DeleteMarker: entries.filter(({ version }) => version.isMarker).map(describe),
    CommonPrefixes: page.flatMap((entry) => ('prefix' in entry ? { Prefix: encode(entry.prefix) } : [])),
  };
  return { status: 200, body: toXml('ListVersionsResult', result) };
};

function parameters(request: S3Request): Wanted {
  const { query } = request;
  const keyMarker = query.get('key-marker') ?? '';
  const idMarker = query.get('version-id-marker');
  if (idMarker === '') throw new S3Error('InvalidArgument', 'A version-id marker cannot be empty.');
  if (idMarker !== undefined && keyMarker === '')
    throw new S3Error('InvalidArgument', 'A version-id marker cannot be specified without a key marker.');
  const maxKeys = Math.min(integer(request, 'max-keys', { max: 2 ** 31 - 1, otherwise: PAGE }), PAGE);
  return { prefix: query.get('prefix') ?? '', delimiter: query.get('delimiter') ?? '', maxKeys, keyMarker, idMarker };
}

function pageOf(versions: KeyVersions, wanted: Wanted): { page: Entry[]; isTruncated: boolean } {
  const page: Entry[] = [];
  for (const entry of entriesOf(versions, wanted)) {
    if (page.length === wanted.maxKeys) return { page, isTruncated: wanted.maxKeys > 0 };
    page.push(entry);
  }
  return { page, isTruncated: false };
}

/** All that comes after the markers: versions by key, the newest first, and each common prefix once. */
function* entriesOf(versions: KeyVersions, { prefix, delimiter, keyMarker, idMarker }: Wanted): Generator<Entry> {
  let rolled = delimiter !== '' && keyMarker.endsWith(delimiter) ? keyMarker : undefined;
  for (const key of versions.sorted({ all: true })) {
    const order = keyMarker === '' ? 1 : compareKeys(key, keyMarker);
    if (!key.startsWith(prefix) || order < 0 || (order === 0 && idMarker === undefined)) continue;
    if (rolled !== undefined && key.startsWith(rolled)) continue;
    const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (end !== -1) {
      rolled = key.slice(0, end + delimiter.length);
      yield { prefix: rolled };
      continue;
    }
    const all = versions.of(key);
    const from = order === 0 ? all.findIndex(({ versionId }) => versionId === idMarker) + 1 : 0;
    for (const version of all.slice(from)) yield { version, isLatest: version === all[0] };
  }
}
