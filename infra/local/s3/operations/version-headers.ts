import type { S3Request } from '../protocol/request.ts';
import { S3Error } from '../s3-error.ts';
import type { Deleted } from '../store/object-index.ts';
import type { ObjectRecord, Versioning } from '../store/records.ts';

/** The version that a request names in its query. @throws S3Error `InvalidArgument` if it names an empty one */
export function versionAsked({ query }: Pick<S3Request, 'query'>): string | undefined {
  const versionId = query.get('versionId');
  if (versionId !== '') return versionId;
  throw new S3Error('InvalidArgument', 'Version id cannot be the empty string');
}

/** The header that names a version, in a bucket that has, or had, versioning. */
export function versionHeaders(
  { versionId }: Pick<ObjectRecord, 'versionId'>,
  versioning: Versioning | undefined,
): Record<string, string> {
  return versioning === undefined ? {} : { 'x-amz-version-id': versionId };
}

/** What deleting did. */
export function deletionHeaders({ versionId, isMarker }: Deleted): Record<string, string> {
  return {
    ...(versionId !== undefined && { 'x-amz-version-id': versionId }),
    ...(isMarker && { 'x-amz-delete-marker': 'true' }),
  };
}
