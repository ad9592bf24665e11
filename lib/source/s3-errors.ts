import { UnqcowError } from '../errors.ts';
import { statusOf } from '../http-status.ts';
import { asRegionError } from '../s3-region.ts';
import { asSetupError, isSetupError } from '../s3-setup.ts';

export interface Place {
  readonly bucket: string;
  readonly key: string;
  /** Whether the request named an exact version: then a missing object is one that has gone. */
  readonly pinned: boolean;
}

/** What S3 says with 400 or 403 and yet passes: a slow upload, and a clock that the SDK then corrects by S3's. */
const PASSES: ReadonlySet<string> = new Set(['RequestTimeout', 'RequestTimeTooSkewed']);

/** Throttling, 5xx, timeouts and broken bodies pass; all that S3 says about the request itself does not. */
export function isWorthRetrying(error: unknown): boolean {
  if (error instanceof UnqcowError) return error.retryable;
  if (isSetupError(error)) return false;
  if (error instanceof Error && PASSES.has(error.name)) return true;
  const status = statusOf(error);
  return status === undefined || status < 300 || status === 408 || status === 429 || status >= 500;
}

/** What S3 or the network said, as one of our codes. */
export function asSourceError(place: Place, error: unknown): UnqcowError {
  if (error instanceof UnqcowError) return error;
  const where = `s3://${place.bucket}/${place.key}`;
  const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const status = statusOf(error);
  if (status === 412 || (place.pinned && (status === 404 || status === 416))) {
    return new UnqcowError('SOURCE_CHANGED', `${where} was replaced or deleted while we were reading it`, {
      cause: error,
    });
  }
  if (status === 404) {
    const missing = error instanceof Error && error.name === 'NoSuchBucket' ? `bucket ${place.bucket}` : where;
    return new UnqcowError('SOURCE_NOT_FOUND', `there is no ${missing}`, { cause: error });
  }
  const refusal = namedRefusal(where, error);
  if (refusal) return refusal;
  if (isWorthRetrying(error)) {
    return new UnqcowError('SOURCE_UNAVAILABLE', `${where} cannot be read now (${said})`, { cause: error });
  }
  // Not what S3 says of it: that can name the account, the role and its policies.
  const name = error instanceof Error ? error.name : 'Error';
  return new UnqcowError('SOURCE_DENIED', `${where} cannot be read (${name})`, { cause: error });
}

/** What S3 refuses for a reason that its code or message tells. */
function namedRefusal(where: string, error: unknown): UnqcowError | undefined {
  const { name, message } = error as Error;
  if (name === 'InvalidObjectState') {
    return new UnqcowError('SOURCE_ARCHIVED', `${where} is archived: restore it first`, { cause: error });
  }
  if (name === 'InvalidRequest' && /server.side encryption/i.test(message)) {
    return new UnqcowError('SOURCE_ENCRYPTED', `${where} can be read with its writer's own key only`, { cause: error });
  }
  return asRegionError(where, error) ?? asSetupError(where, error);
}
