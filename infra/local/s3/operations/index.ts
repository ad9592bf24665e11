import { createBucket, deleteBucket, getBucketLocation, headBucket, listBuckets } from './buckets.ts';
import { completeMultipartUpload } from './complete-multipart-upload.ts';
import { copyObject } from './copy-object.ts';
import { deleteObject, deleteObjects } from './delete-objects.ts';
import { getObject, headObject, RESPONSE_OVERRIDES } from './get-object.ts';
import { listObjects, listObjectsV2 } from './list-objects.ts';
import { abortMultipartUpload, createMultipartUpload, listMultipartUploads, listParts } from './multipart-uploads.ts';
import type { Operation } from './operation.ts';
import { putObject } from './put-object.ts';
import { uploadPart, uploadPartCopy } from './upload-part.ts';
import { getBucketVersioning, listObjectVersions, putBucketVersioning } from './versioning.ts';

/** How to know a request for an operation, and who answers it. */
export interface Route {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly on: 'service' | 'bucket' | 'object';
  /** Query parameters that must be there, and others that may be. With any further one it is another operation. */
  readonly with?: readonly string[];
  readonly may?: readonly string[];
  /** Whether `x-amz-copy-source` must be there; by default it must not. */
  readonly copies?: true;
  readonly run: Operation;
}

const READ = ['versionId', ...RESPONSE_OVERRIDES];
const LIST = ['prefix', 'delimiter', 'max-keys', 'continuation-token', 'start-after', 'encoding-type', 'fetch-owner'];
const LIST_V1 = ['prefix', 'delimiter', 'max-keys', 'marker', 'encoding-type'];
const VERSIONS = ['prefix', 'delimiter', 'max-keys', 'key-marker', 'version-id-marker', 'encoding-type'];
const UPLOADS = ['prefix', 'key-marker', 'upload-id-marker', 'max-uploads', 'encoding-type'];
const PARTS = ['max-parts', 'part-number-marker', 'encoding-type'];

/** Everything that this server does. */
export const ROUTES: Readonly<Record<string, Route>> = {
  ListBuckets: { method: 'GET', on: 'service', run: listBuckets },
  CreateBucket: { method: 'PUT', on: 'bucket', run: createBucket },
  HeadBucket: { method: 'HEAD', on: 'bucket', run: headBucket },
  DeleteBucket: { method: 'DELETE', on: 'bucket', run: deleteBucket },
  GetBucketLocation: { method: 'GET', on: 'bucket', with: ['location'], run: getBucketLocation },
  GetBucketVersioning: { method: 'GET', on: 'bucket', with: ['versioning'], run: getBucketVersioning },
  PutBucketVersioning: { method: 'PUT', on: 'bucket', with: ['versioning'], run: putBucketVersioning },
  ListObjects: { method: 'GET', on: 'bucket', may: LIST_V1, run: listObjects },
  ListObjectVersions: { method: 'GET', on: 'bucket', with: ['versions'], may: VERSIONS, run: listObjectVersions },
  ListObjectsV2: { method: 'GET', on: 'bucket', with: ['list-type'], may: LIST, run: listObjectsV2 },
  ListMultipartUploads: { method: 'GET', on: 'bucket', with: ['uploads'], may: UPLOADS, run: listMultipartUploads },
  DeleteObjects: { method: 'POST', on: 'bucket', with: ['delete'], run: deleteObjects },
  GetObject: { method: 'GET', on: 'object', may: READ, run: getObject },
  HeadObject: { method: 'HEAD', on: 'object', may: READ, run: headObject },
  PutObject: { method: 'PUT', on: 'object', run: putObject },
  CopyObject: { method: 'PUT', on: 'object', copies: true, run: copyObject },
  DeleteObject: { method: 'DELETE', on: 'object', may: ['versionId'], run: deleteObject },
  CreateMultipartUpload: { method: 'POST', on: 'object', with: ['uploads'], run: createMultipartUpload },
  UploadPart: { method: 'PUT', on: 'object', with: ['partNumber', 'uploadId'], run: uploadPart },
  UploadPartCopy: { method: 'PUT', on: 'object', with: ['partNumber', 'uploadId'], copies: true, run: uploadPartCopy },
  ListParts: { method: 'GET', on: 'object', with: ['uploadId'], may: PARTS, run: listParts },
  CompleteMultipartUpload: { method: 'POST', on: 'object', with: ['uploadId'], run: completeMultipartUpload },
  AbortMultipartUpload: { method: 'DELETE', on: 'object', with: ['uploadId'], run: abortMultipartUpload },
};
