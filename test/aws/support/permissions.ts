import type { Call } from './calls.ts';
import type { Permission } from './policy.ts';

interface Place {
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string | undefined;
}

const objectOf = ({ bucket, key }: Place) => `arn:aws:s3:::${bucket}/${key}`;
const reading = (place: Place): Permission => ({
  action: place.versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion',
  resource: objectOf(place),
});
const on =
  (action: string) =>
  (place: Place): Permission[] => [{ action, resource: objectOf(place) }];

/**
 * What S3 asks of a caller for each operation.
 * @see Amazon S3 User Guide § Required permissions for Amazon S3 API operations: HeadObject needs GetObject; every step of a
 * multipart upload PutObject, but Abort and ListParts, which have actions of their own; a copy reading on its source as well.
 */
const S3_OPERATIONS: Readonly<Record<string, (place: Place, from?: Place) => Permission[]>> = {
  GetObject: (place) => [reading(place)],
  HeadObject: (place) => [reading(place)],
  PutObject: on('s3:PutObject'),
  DeleteObject: on('s3:DeleteObject'),
  CopyObject: (place, from) => [...on('s3:PutObject')(place), ...(from ? [reading(from)] : [])],
  CreateMultipartUpload: on('s3:PutObject'),
  UploadPart: on('s3:PutObject'),
  UploadPartCopy: (place, from) => [...on('s3:PutObject')(place), ...(from ? [reading(from)] : [])],
  CompleteMultipartUpload: on('s3:PutObject'),
  AbortMultipartUpload: on('s3:AbortMultipartUpload'),
  ListParts: on('s3:ListMultipartUploadParts'),
  ListObjectsV2: ({ bucket }) => [{ action: 's3:ListBucket', resource: `arn:aws:s3:::${bucket}` }],
  ListObjects: ({ bucket }) => [{ action: 's3:ListBucket', resource: `arn:aws:s3:::${bucket}` }],
  ListMultipartUploads: ({ bucket }) => [
    { action: 's3:ListBucketMultipartUploads', resource: `arn:aws:s3:::${bucket}` },
  ],
};

/** What is asked of other services than S3. */
export interface Surroundings {
  readonly machine: string;
  readonly execution: string;
  /** The ARN that a local secret has in the deployment. */
  readonly secret: (local: string) => string;
}

const READS = ['GetObject', 'HeadObject'];

/**
 * What a caller has to be allowed for this call to be answered as it was. A key that is missing is told only to whom may
 * list the bucket; others hear 403. Who writes with tags needs the right to, and who writes over an object by its ETag the
 * right to read it.
 *
 * @throws Error for an operation whose permissions are not written down here.
 */
export function permissionsFor(call: Call, { machine, execution, secret }: Surroundings): Permission[] {
  const { service, operation, bucket = '', key = '', versionId, from, status } = call;
  if (service === 'states')
    return [{ action: `states:${operation}`, resource: operation === 'StartExecution' ? machine : execution }];
  if (service === 'secretsmanager')
    return [{ action: `secretsmanager:${operation}`, resource: secret(String(call.secret)) }];
  const needed = S3_OPERATIONS[operation];
  if (!needed) throw new Error(`what ${service}:${operation} needs is not written down`);
  const place = { bucket, key, versionId };
  return [
    ...needed(place, from),
    ...(call.tagged ? on('s3:PutObjectTagging')(place) : []),
    ...(call.overSeen ? on('s3:GetObject')(place) : []),
    ...(status === 404 && READS.includes(operation)
      ? [{ action: 's3:ListBucket', resource: `arn:aws:s3:::${bucket}` }]
      : []),
  ];
}
