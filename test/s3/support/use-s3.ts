import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  type ListPartsCommandInput,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
  type UploadPartCommandInput,
  UploadPartCopyCommand,
  type UploadPartCopyCommandInput,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll } from 'vitest';
import { openTarget, type Target } from '../target.ts';

/** A server and an empty bucket of its own for one file of tests. Usable inside tests only. */
export class TestS3 {
  target!: Target;
  client!: S3Client;
  readonly bucket = `unqcow-test-${randomUUID().slice(0, 13)}`;

  /** A client that gives the checksums it is told to and no others, and tries once. */
  newClient(overrides: S3ClientConfig = {}): S3Client {
    const { endpoint, region, credentials } = this.target;
    return new S3Client({
      endpoint,
      region,
      credentials,
      forcePathStyle: true,
      maxAttempts: 1,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      ...overrides,
    });
  }

  put(key: string, body: NonNullable<PutObjectCommandInput['Body']>, more: Partial<PutObjectCommandInput> = {}) {
    return this.client.send(new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body, ...more }));
  }

  async get(key: string, more: Partial<GetObjectCommandInput> = {}) {
    const { Body, ...answer } = await this.client.send(
      new GetObjectCommand({ Bucket: this.bucket, Key: key, ...more }),
    );
    return { ...answer, body: Buffer.from((await Body?.transformToByteArray()) ?? []) };
  }

  head(key: string, more: Partial<GetObjectCommandInput> = {}) {
    return this.client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: key, ...more }));
  }

  /** Begins a multipart upload. */
  async upload(key: string, more: Partial<CreateMultipartUploadCommandInput> = {}): Promise<TestUpload> {
    const answer = await this.client.send(new CreateMultipartUploadCommand({ Bucket: this.bucket, Key: key, ...more }));
    return new TestUpload(this.client, { Bucket: this.bucket, Key: key, UploadId: answer.UploadId ?? '' });
  }
}

export class TestUpload {
  readonly #client: S3Client;
  readonly at: { readonly Bucket: string; readonly Key: string; readonly UploadId: string };

  constructor(client: S3Client, at: TestUpload['at']) {
    this.#client = client;
    this.at = at;
  }

  /** @returns the part as Complete lists it */
  async part(PartNumber: number, Body: Buffer, more: Partial<UploadPartCommandInput> = {}) {
    const { ETag, ChecksumCRC32 } = await this.#client.send(
      new UploadPartCommand({ ...this.at, PartNumber, Body, ...more }),
    );
    return { PartNumber, ETag, ...(ChecksumCRC32 !== undefined && { ChecksumCRC32 }) };
  }

  /** @returns the part as Complete lists it. `source` is percent-encoded. */
  async copy(PartNumber: number, source: string, more: Partial<UploadPartCopyCommandInput> = {}) {
    const command = new UploadPartCopyCommand({ ...this.at, PartNumber, CopySource: source, ...more });
    const { ETag, ChecksumCRC32 } = (await this.#client.send(command)).CopyPartResult ?? {};
    return { PartNumber, ETag, ...(ChecksumCRC32 !== undefined && { ChecksumCRC32 }) };
  }

  complete(
    Parts: { PartNumber: number; ETag?: string | undefined }[],
    more: Partial<CompleteMultipartUploadCommandInput> = {},
  ) {
    const MultipartUpload = { Parts } as NonNullable<CompleteMultipartUploadCommandInput['MultipartUpload']>;
    return this.#client.send(new CompleteMultipartUploadCommand({ ...this.at, MultipartUpload, ...more }));
  }

  parts(more: Partial<ListPartsCommandInput> = {}) {
    return this.#client.send(new ListPartsCommand({ ...this.at, ...more }));
  }

  abort() {
    return this.#client.send(new AbortMultipartUploadCommand(this.at));
  }
}

/** Opens the target before a file's tests and leaves nothing there after them. */
export function useS3(): TestS3 {
  const s3 = new TestS3();
  beforeAll(async () => {
    s3.target = await openTarget();
    s3.client = s3.newClient();
    await s3.client.send(new CreateBucketCommand({ Bucket: s3.bucket }));
  });
  afterAll(async () => {
    await empty(s3);
    s3.client.destroy();
    await s3.target.close();
  });
  return s3;
}

async function empty({ client, bucket: Bucket }: TestS3): Promise<void> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
  for (const { Key, UploadId } of Uploads)
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
  for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket, Key }));
  await client.send(new DeleteBucketCommand({ Bucket }));
}
