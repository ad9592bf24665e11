import { S3Error } from '../s3-error.ts';
import { header, type S3Request } from './request.ts';

/**
 * `x-amz-copy-source`: `[/]BUCKET/KEY[?versionId=null]`, percent-encoded.
 * @throws S3Error `InvalidArgument` if it is malformed, `NoSuchVersion` for any version but `null`: nothing is versioned
 */
export function parseCopySource(request: S3Request): { readonly bucket: string; readonly key: string } {
  const text = header(request, 'x-amz-copy-source') ?? '';
  const details = { ArgumentName: 'x-amz-copy-source', ArgumentValue: text };
  const [path = '', version] = text.split('?versionId=');
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
  if (version !== undefined && version !== 'null') throw new S3Error('NoSuchVersion');
  return { bucket, key };
}
