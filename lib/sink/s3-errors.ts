import { UnqcowError } from '../errors.ts';

/** Ceph says NoSuchKey where an upload is gone; no other key is looked for in what is asked of an upload. */
export function isUploadGone(error: unknown): boolean {
  const name = (error as { readonly name?: string } | undefined)?.name;
  return name === 'NoSuchUpload' || name === 'NoSuchKey';
}

/** What a store said about a write, as one of our codes. `where` is what was written to. */
export function asDestinationError(where: string, error: unknown): UnqcowError {
  if (error instanceof UnqcowError) return error;
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  const status = (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
  const said = `${name}: ${message}`;
  if (isUploadGone(error)) return new UnqcowError('UPLOAD_GONE', `the upload to ${where} is gone`, { cause: error });
  if (name === 'BadDigest') return new UnqcowError('CHECKSUM_MISMATCH', `${where}: ${said}`, { cause: error });
  if (name === 'InvalidPart' || name === 'InvalidPartOrder' || name === 'EntityTooSmall') {
    return new UnqcowError('RECEIPTS_MISMATCH', `${where}: ${said}`, { cause: error });
  }
  if (status === 412) return new UnqcowError('DESTINATION_EXISTS', `${where} exists`, { cause: error });
  if (status === 404)
    return new UnqcowError('DESTINATION_NOT_FOUND', `there is no ${where} (${said})`, { cause: error });
  if (status === undefined || status === 409 || status === 429 || status >= 500) {
    return new UnqcowError('DESTINATION_UNAVAILABLE', `${where} cannot be written to now (${said})`, { cause: error });
  }
  return new UnqcowError('DESTINATION_DENIED', `${where} cannot be written to (${said})`, { cause: error });
}
