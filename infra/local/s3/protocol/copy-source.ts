import { S3Error } from '../s3-error.ts';
import { header, type S3Request } from './request.ts';

/**
 * `x-amz-copy-source`: `[/]BUCKET/KEY[?versionId=ID]`, percent-encoded.
 * @throws S3Error `InvalidArgument` if it is malformed
 */
export function parseCopySource(request: S3Request): {
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string | undefined;
} {
  const text = header(request, 'x-amz-copy-source') ?? '';
  const details = { ArgumentName: 'x-amz-copy-source', ArgumentValue: text };
  const [path = '', versionId] = text.split('?versionId=');
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    throw new S3Error('InvalidArgument', 'Copy Source must be URL-encoded.', { details });
  }
  const [, bucket, key] = /^\/?([^/]+)\/(.+)$/s.exec(decoded) ?? [];
  if (bucket === undefined || key === undefined) {
    throw new S3Error('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey', {
      details,
    });
  }
  if (versionId === '') throw new S3Error('InvalidArgument', 'Version id cannot be the empty string', { details });
  return { bucket, key, versionId };
}
