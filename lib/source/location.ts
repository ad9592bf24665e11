import { UnqcowError } from '../errors.ts';
import type { S3Location } from './s3.ts';

/** Where something lies: a path, or `s3://bucket/key`, of a version if it says `?versionId=`. */
export type Location = { readonly kind: 'file'; readonly path: string } | ({ readonly kind: 's3' } & S3Location);

/** @throws UnqcowError `BAD_REQUEST` for an `s3://` that names no object, and for other schemes. */
export function parseLocation(text: string): Location {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: 'file', path: text };
  if (scheme !== 's3') throw new UnqcowError('BAD_REQUEST', `${text} is neither a path nor s3://bucket/key`);
  const [, bucket = '', key = '', versionId] = /^s3:\/\/([^/]*)\/(.*?)(?:\?versionId=([^?]*))?$/is.exec(text) ?? [];
  if (bucket === '' || key === '')
    throw new UnqcowError('BAD_REQUEST', `${text} does not name an object: s3://bucket/key`);
  return { kind: 's3', bucket, key, ...(versionId ? { versionId } : {}) };
}
