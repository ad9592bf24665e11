import { UnqcowError } from '../errors.ts';
import { statusOf } from '../http-status.ts';
import { asRegionError } from '../s3-region.ts';
import { asSetupError } from '../s3-setup.ts';

/** Ceph says NoSuchKey where an upload is gone; no other key is looked for in what is asked of an upload. */
export function isUploadGone(error: unknown): boolean {
  const name = (error as { readonly name?: string } | undefined)?.name;
  return name === 'NoSuchUpload' || name === 'NoSuchKey';
}

/** A condition that does not hold: 412, or said late in the body of a 200, which the SDK makes a 503. */
export function isPreconditionFailed(error: unknown): boolean {
  return statusOf(error) === 412 || (error as { readonly name?: string } | undefined)?.name === 'PreconditionFailed';
}

/** What S3 says with 4xx, or with 200 and an error for a body, and yet passes. */
const PASSES: ReadonlySet<string> = new Set([
  'InternalError',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'ServiceUnavailable',
  'SlowDown',
]);

/** What a store said about a write, as one of our codes. `where` is what was written to. */
export function asDestinationError(where: string, error: unknown): UnqcowError {
  if (error instanceof UnqcowError) return error;
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  const status = statusOf(error);
  const said = `${name}: ${message}`;
  if (isUploadGone(error)) return new UnqcowError('UPLOAD_GONE', `the upload to ${where} is gone`, { cause: error });
  if (name === 'BadDigest') return new UnqcowError('CHECKSUM_MISMATCH', `${where}: ${said}`, { cause: error });
  if (name === 'InvalidPart' || name === 'InvalidPartOrder' || name === 'EntityTooSmall') {
    return new UnqcowError('RECEIPTS_MISMATCH', `${where}: ${said}`, { cause: error });
  }
  const unasked = asRegionError(where, error) ?? asSetupError(where, error);
  if (unasked) return unasked;
  if (isPreconditionFailed(error)) return new UnqcowError('DESTINATION_EXISTS', `${where} exists`, { cause: error });
  if (name === 'NoSuchBucket') {
    // What is written first may be a helper's: nobody asked for that.
    const [, , bucket] = where.split('/');
    return new UnqcowError('DESTINATION_NOT_FOUND', `there is no bucket ${bucket}`, { cause: error });
  }
  if (status === 404)
    return new UnqcowError('DESTINATION_NOT_FOUND', `there is no ${where} (${said})`, { cause: error });
  if (PASSES.has(name) || status === undefined || status === 409 || status === 429 || status >= 500) {
    return new UnqcowError('DESTINATION_UNAVAILABLE', `${where} cannot be written to now (${said})`, { cause: error });
  }
  // Not what S3 says of it: that can name the account, the role and its policies.
  return new UnqcowError('DESTINATION_DENIED', `${where} cannot be written to (${name})`, { cause: error });
}
