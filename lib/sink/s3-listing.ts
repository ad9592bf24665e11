import {
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';
import { sent } from './s3-request.ts';
import type { S3Target, Upload } from './s3-target.ts';

export interface Listed {
  readonly key: string;
  /** By the store's clock. */
  readonly modified: Date;
}

/** All objects whose keys start so, in pages. Costs one request per 1,000. */
export async function* listKeys(client: S3Client, bucket: string, prefix: string): AsyncGenerator<Listed[]> {
  for (let token: string | undefined, more = true; more; ) {
    const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token });
    const page = await sent({ bucket, key: prefix }, client.send(command));
    yield (page.Contents ?? []).map(({ Key = '', LastModified = new Date(0) }) => ({
      key: Key,
      modified: LastModified,
    }));
    token = page.NextContinuationToken;
    more = page.IsTruncated === true && token !== undefined;
  }
}

export interface OpenUpload extends Upload {
  /** When it was opened, by the store's clock. */
  readonly initiated: Date;
}

/** All uploads that are open for keys that start so: anybody's. Costs one request per 1,000. */
export async function listUploads(
  client: S3Client,
  bucket: string,
  prefix: string,
  owner?: string,
): Promise<OpenUpload[]> {
  const place = { bucket, key: prefix, ...(owner ? { owner } : {}) };
  const uploads: OpenUpload[] = [];
  for (let key: string | undefined, id: string | undefined, more = true; more; ) {
    const command = new ListMultipartUploadsCommand({
      Bucket: bucket,
      Prefix: prefix,
      ...(owner ? { ExpectedBucketOwner: owner } : {}),
      ...(key === undefined ? {} : { KeyMarker: key, UploadIdMarker: id }),
    });
    const page = await sent(place, client.send(command));
    for (const { Key = '', UploadId = '', Initiated = new Date() } of page.Uploads ?? []) {
      uploads.push({ ...place, key: Key, uploadId: UploadId, initiated: Initiated });
    }
    [key, id] = [page.NextKeyMarker, page.NextUploadIdMarker];
    more = page.IsTruncated === true && key !== undefined;
  }
  return uploads;
}

/** Deletes an object of the job's own; one that is not there is no error. Costs one request. */
export async function deleteObject(client: S3Client, target: S3Target): Promise<void> {
  await sent(target, client.send(new DeleteObjectCommand({ Bucket: target.bucket, Key: target.key })));
}
