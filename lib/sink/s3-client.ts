import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';

/**
 * A client for writing: the SDK's own retry is the one layer there is. Bodies are arrays in memory, so it can send them
 * again.
 */
export function writingClient(config: S3ClientConfig): S3Client {
  return new S3Client({
    maxAttempts: 5,
    // Checksums are sent by name, as headers; the SDK's own would be a trailer, which not every store takes.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: 3_000,
      requestTimeout: 120_000,
      throwOnRequestTimeout: true,
      httpAgent: { maxSockets: 64 },
      httpsAgent: { maxSockets: 64 },
    },
    ...config,
  });
}
