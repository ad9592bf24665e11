import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import { UnqcowError } from '../errors.ts';
import { VERSION } from '../version.ts';
import type { CopySource } from './s3-target.ts';

export const STORAGE_CLASSES = [
  'STANDARD',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER_IR',
  'GLACIER',
  'DEEP_ARCHIVE',
] as const;

export const ENCRYPTIONS = ['AES256', 'aws:kms', 'aws:kms:dsse'] as const;

/** How the raw object is kept, and what it says of itself. All that is left out is as the bucket has it. */
export interface Keeping {
  readonly storageClass?: (typeof STORAGE_CLASSES)[number] | undefined;
  readonly sse?: (typeof ENCRYPTIONS)[number] | undefined;
  /** With `aws:kms` and `aws:kms:dsse` only; without it, the account's own key for S3. */
  readonly kmsKeyId?: string | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Beside ours, whose names start with `unqcow-`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** What PutObject and CreateMultipartUpload are told besides a name and bytes. */
export type Description = Pick<
  PutObjectCommandInput,
  'Metadata' | 'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId' | 'Tagging'
>;

/** The name by which objects that we made are known again. */
export const MARK = 'unqcow-version';
/** How much of the disk is zeros, since the image was damaged, in bytes. */
const LOST = 'unqcow-lost-bytes';
const OURS = 'unqcow-';
/** S3's limit, in bytes, on all names and values together. */
const MAX_METADATA = 2048;
/** Longer keys are possible, percent-encoded three times so; they are left out rather than cut. */
const MAX_SOURCE = 1024;

/**
 * Describes a raw object. What it was made from, and by which version of unqcow, is always in its metadata; so
 * is how much of it was lost, if anything was.
 *
 * @throws UnqcowError `BAD_REQUEST` for names of metadata that are ours, and for more of it than S3 takes.
 */
export function describeRaw(
  { storageClass, sse, kmsKeyId, tags, metadata = {} }: Keeping,
  source?: CopySource,
  lostBytes = 0,
): Description {
  const lost = lostBytes > 0 ? { [LOST]: String(lostBytes) } : {};
  const Metadata = { ...metadata, ...(source ? originOf(source) : {}), ...lost, [MARK]: VERSION };
  const taken = Object.keys(metadata).find((name) => name.toLowerCase().startsWith(OURS));
  if (taken !== undefined) throw refused(`names of metadata that start with ${OURS} are ours: ${taken}`);
  const size = Object.entries(Metadata).reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value), 0);
  if (size > MAX_METADATA) throw refused(`the metadata are ${size} bytes with ours, and S3 takes ${MAX_METADATA}`);
  if (kmsKeyId !== undefined && !sse?.startsWith('aws:kms')) throw refused('a KMS key goes with aws:kms only');
  return {
    Metadata,
    ...(storageClass ? { StorageClass: storageClass } : {}),
    ...(sse ? { ServerSideEncryption: sse } : {}),
    ...(kmsKeyId ? { SSEKMSKeyId: kmsKeyId } : {}),
    ...(tags && Object.keys(tags).length > 0 ? { Tagging: new URLSearchParams(tags).toString() } : {}),
  };
}

/** Where it came from, in ASCII, as headers have to be. */
function originOf({ bucket, key, versionId, etag }: CopySource): Record<string, string> {
  const source = `s3://${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
  return {
    ...(source.length <= MAX_SOURCE ? { [`${OURS}source`]: source } : {}),
    [`${OURS}source-etag`]: etag.replaceAll('"', ''),
    ...(versionId ? { [`${OURS}source-version-id`]: versionId } : {}),
  };
}

const refused = (message: string) => new UnqcowError('BAD_REQUEST', message, { at: 'options' });
