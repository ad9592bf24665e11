import { UnqcowError } from '../errors.ts';
import type { Location } from '../source/location.ts';
import type { WorkPlace } from './conversion.ts';
import type { Target } from './here-request.ts';
import type { Stores } from './stores.ts';

/**
 * Where a raw disk goes, as people name it.
 *
 * @param work `s3://bucket/prefix/` where an object of zeros may be kept.
 * @throws UnqcowError `BAD_REQUEST` for what cannot be written to.
 */
export function targetOf(location: Location, work: string | undefined, stores: () => Stores, owner?: string): Target {
  if (location.kind === 'file') return location;
  const { bucket, key, versionId } = location;
  if (versionId !== undefined) throw new UnqcowError('BAD_REQUEST', 'a version of an object cannot be written to');
  const place = work === undefined ? undefined : placeOf(work);
  return { kind: 's3', stores: stores(), target: { bucket, key, owner }, work: place };
}

/** `s3://bucket/folder` → bucket and prefix, which ends in a slash. @throws UnqcowError `BAD_REQUEST` for anything else. */
export function placeOf(url: string): WorkPlace {
  const [, bucket, prefix = ''] = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(url) ?? [];
  if (!bucket) throw new UnqcowError('BAD_REQUEST', `${url} is not s3://bucket/prefix/`);
  return { bucket, prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/` };
}
