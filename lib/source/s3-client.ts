import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';

/** A client for reading. It never retries: the source does, since only it can tell a body that was cut short. */
export function readingClient(config: S3ClientConfig): S3Client {
  return new S3Client({
    maxAttempts: 1,
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: 3_000, httpAgent: { maxSockets: 64 }, httpsAgent: { maxSockets: 64 } },
    ...config,
  });
}
