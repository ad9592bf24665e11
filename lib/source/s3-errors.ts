import { UnqcowError } from '../errors.ts';

export interface Place {
  readonly bucket: string;
  readonly key: string;
  /** Whether the request named an exact version: then a missing object is one that has gone. */
  readonly pinned: boolean;
}

/** Throttling, 5xx, timeouts and broken bodies pass; all that S3 says about the request itself does not. */
export function isWorthRetrying(error: unknown): boolean {
  if (error instanceof UnqcowError) return error.retryable;
  if (error instanceof Error && error.name === 'CredentialsProviderError') return false;
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
  if (status === 404) return new UnqcowError('SOURCE_NOT_FOUND', `there is no ${where}`, { cause: error });
  if (isWorthRetrying(error)) {
    return new UnqcowError('SOURCE_UNAVAILABLE', `${where} cannot be read now (${said})`, { cause: error });
  }
  return new UnqcowError('SOURCE_DENIED', `${where} cannot be read (${said})`, { cause: error });
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}
