import type { Answer } from './operations/operation.ts';
import type { S3Request } from './protocol/request.ts';
import { S3Error } from './s3-error.ts';

/**
 * S3 sends the status of a long copy or completion before it knows how it will end: a failure then comes in the body
 * of a 200. With `before` nothing was done, with `after` all of it was.
 */
export type LateError = 'before' | 'after';

/** Says whether this request is to fail so. Undefined for requests that are to be answered as they are. */
export type LateErrors = (operation: LateOperation, bucket: string, key: string) => LateError | undefined;

const LATE_OPERATIONS = ['CompleteMultipartUpload', 'CopyObject', 'UploadPartCopy'] as const;
type LateOperation = (typeof LATE_OPERATIONS)[number];

/**
 * Runs an operation, or makes it fail late.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 * @see https://repost.aws/knowledge-center/s3-resolve-200-internalerror
 */
export async function withLateError(
  name: string,
  request: S3Request,
  lateError: LateErrors,
  run: () => Promise<Answer>,
): Promise<Answer> {
  const operation = LATE_OPERATIONS.find((late) => late === name);
  const when = operation && lateError(operation, request.bucket, request.key);
  if (when === undefined) return run();
  if (when === 'after') await run();
  return { status: 200, body: new S3Error('InternalError').toXml(request.path, request.id) };
}
