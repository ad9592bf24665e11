import { randomBytes } from 'node:crypto';
import { S3Error } from '../s3-error.ts';
import type { Keeping } from '../store/records.ts';
import { header, type S3Request } from './request.ts';

const STORAGE_CLASSES = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER_IR',
  'GLACIER',
  'DEEP_ARCHIVE',
];
const ARCHIVES = ['GLACIER', 'DEEP_ARCHIVE'];
const SSE = 'x-amz-server-side-encryption';
const KMS_KEY = `${SSE}-aws-kms-key-id`;
const MAX_TAGS = 10;

const PLAIN: Keeping = { storageClass: 'STANDARD', sse: 'AES256', tags: {} };

/** How a request wants its object kept. @throws S3Error `InvalidStorageClass`, `InvalidArgument`, `InvalidTag` */
export function keepingOf(request: S3Request): Keeping {
  const storageClass = header(request, 'x-amz-storage-class') ?? 'STANDARD';
  if (!STORAGE_CLASSES.includes(storageClass)) throw new S3Error('InvalidStorageClass');
  const sse = header(request, SSE) ?? 'AES256';
  const isKms = sse === 'aws:kms' || sse === 'aws:kms:dsse';
  if (!isKms && sse !== 'AES256') throw invalid('The encryption method specified is not supported', SSE, sse);
  const kmsKey = header(request, KMS_KEY);
  if (kmsKey !== undefined && !isKms) {
    throw invalid(`Server Side Encryption with AWS KMS managed key requires HTTP header ${SSE} : aws:kms`, SSE, sse);
  }
  return {
    storageClass,
    sse,
    ...(isKms ? { kmsKey: kmsKey ?? 'arn:aws:kms:us-east-1:000000000000:alias/aws/s3' } : {}),
    tags: tagsOf(header(request, 'x-amz-tagging') ?? ''),
  };
}

const invalid = (message: string, name: string, value: string) =>
  new S3Error('InvalidArgument', message, { details: { ArgumentName: name, ArgumentValue: value } });

function tagsOf(text: string): Record<string, string> {
  const pairs = [...new URLSearchParams(text)];
  const tags = Object.fromEntries(pairs);
  const isTag = ([name, value]: [string, string]) => name !== '' && name.length <= 128 && value.length <= 256;
  if (pairs.length <= MAX_TAGS && Object.keys(tags).length === pairs.length && pairs.every(isTag)) return tags;
  throw new S3Error('InvalidTag');
}

/** Under a KMS key an ETag is no MD5, and another at every write. */
export function etagOf(md5: string, { kmsKey } = PLAIN): string {
  return kmsKey === undefined ? md5 : randomBytes(16).toString('hex');
}

/** What an answer with an object says of how it is kept. STANDARD, which most are, is not said. */
export function keepingHeaders({ storageClass, tags, ...encryption } = PLAIN): Record<string, string> {
  const count = Object.keys(tags).length;
  return {
    ...(storageClass === 'STANDARD' ? {} : { 'x-amz-storage-class': storageClass }),
    ...(count === 0 ? {} : { 'x-amz-tagging-count': String(count) }),
    ...encryptionHeaders(encryption),
  };
}

/** What an answer to a write says of how the object is encrypted. */
export function encryptionHeaders({ sse, kmsKey }: Pick<Keeping, 'sse' | 'kmsKey'> = PLAIN): Record<string, string> {
  return { [SSE]: sse, ...(kmsKey === undefined ? {} : { [KMS_KEY]: kmsKey }) };
}

/** @throws S3Error `InvalidObjectState` for what would have to be restored first. */
export function checkReadable({ storageClass } = PLAIN): void {
  if (!ARCHIVES.includes(storageClass)) return;
  throw new S3Error('InvalidObjectState', undefined, { details: { StorageClass: storageClass } });
}
