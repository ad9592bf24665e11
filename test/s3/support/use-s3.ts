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
  ListObjectVersionsCommand,
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
import pMap from 'p-map';
import { afterAll, beforeAll } from 'vitest';
import { openTarget, type Target, targetKind } from '../target.ts';
import { found } from './checksums.ts';

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
      // Some servers never answer some requests.
      ...(targetKind !== 'ours' && { requestHandler: { requestTimeout: 20_000, throwOnRequestTimeout: true } }),
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

  /** A multipart upload that was begun before. */
  resume(at: TestUpload['at']): TestUpload {
    return new TestUpload(this.client, at);
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
    const answer = await this.#client.send(new UploadPartCommand({ ...this.at, PartNumber, Body, ...more }));
    return { PartNumber, ETag: answer.ETag, ...found(answer) };
  }

  /** @returns the part as Complete lists it. `source` is percent-encoded. */
  async copy(PartNumber: number, source: string, more: Partial<UploadPartCopyCommandInput> = {}) {
    const command = new UploadPartCopyCommand({ ...this.at, PartNumber, CopySource: source, ...more });
    const answer = (await this.#client.send(command)).CopyPartResult ?? {};
    return { PartNumber, ETag: answer.ETag, ...found(answer) };
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
    // What a real server cannot delete goes with the server.
    await empty(s3).catch((error) => {
      if (targetKind === 'ours' || targetKind === 'aws') throw error;
    });
    s3.client.destroy();
    await s3.target.close();
  });
  return s3;
}

async function empty({ client, bucket: Bucket }: TestS3): Promise<void> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
  for (const { Key, UploadId } of Uploads)
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  await deleteAll(client, Bucket, async () => (await client.send(new ListObjectsV2Command({ Bucket }))).Contents);
  await deleteAll(client, Bucket, async () => {
    // Not every server has versions; what has none is empty by now.
    const page = await client.send(new ListObjectVersionsCommand({ Bucket })).catch(() => undefined);
    return [...(page?.Versions ?? []), ...(page?.DeleteMarkers ?? [])];
  });
  await client.send(new DeleteBucketCommand({ Bucket }));
}

/** Deletes what a listing names, page by page, until there is nothing left. */
async function deleteAll(
  client: S3Client,
  Bucket: string,
  list: () => Promise<{ Key?: string | undefined; VersionId?: string | undefined }[] | undefined>,
): Promise<void> {
  for (let page = await list(); page !== undefined && page.length > 0; page = await list()) {
    const remove = ({ Key, VersionId }: (typeof page)[number]) =>
      client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
    await pMap(page, remove, { concurrency: 8 });
  }
}
