export interface S3Target {
  readonly bucket: string;
  readonly key: string;
  /** The account that the bucket has to belong to. */
  readonly owner?: string | undefined;
}

/** An open multipart upload. */
export interface Upload extends S3Target {
  readonly uploadId: string;
}

/** What S3 gave for a part. Numbers and lengths are ours; ETag and CRC-32 are the store's own words. */
export interface Receipt {
  readonly number: number;
  readonly length: number;
  readonly etag: string;
  /** Base64, as S3 has it. Missing where the store computes none for parts that it copies. */
  readonly crc32?: string | undefined;
}

export interface CopySource {
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string | undefined;
  readonly etag: string;
  readonly owner?: string | undefined;
  readonly requestPayer?: boolean | undefined;
}

export const nameOf = ({ bucket, key }: S3Target): string => `s3://${bucket}/${key}`;

/** An object's name as every request has it, and whose it has to be. */
export function objectOf({ bucket, key, owner }: S3Target) {
  return { Bucket: bucket, Key: key, ...(owner ? { ExpectedBucketOwner: owner } : {}) };
}

/** An upload's name, likewise. */
export function uploadOf(upload: Upload) {
  return { ...objectOf(upload), UploadId: upload.uploadId };
}
