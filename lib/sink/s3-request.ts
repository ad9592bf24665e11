import { UnqcowError } from '../errors.ts';
import { asDestinationError } from './s3-errors.ts';
import { nameOf, type S3Target } from './s3-target.ts';

export function withSignal(signal: AbortSignal | undefined) {
  return signal ? { abortSignal: signal } : {};
}

/** What the store answers. @throws UnqcowError for what it refuses; the signal's reason if it is aborted. */
export async function sent<T>(target: S3Target, request: Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await request;
  } catch (error) {
    signal?.throwIfAborted();
    throw asDestinationError(nameOf(target), error);
  }
}

/** The ETag of what was written. @throws UnqcowError `DESTINATION_UNAVAILABLE` if the store gave none. */
export function etagOf(target: S3Target, { ETag: etag }: { readonly ETag?: string | undefined } = {}): string {
  if (etag) return quoted(etag);
  throw new UnqcowError('DESTINATION_UNAVAILABLE', `${nameOf(target)}: the store gave no ETag`);
}

/** Ceph leaves the quotes off where it answers a copy, and has them where it lists parts. */
export function quoted(etag: string): string {
  return etag.startsWith('"') ? etag : `"${etag}"`;
}
