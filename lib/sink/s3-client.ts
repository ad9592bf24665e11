import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { PATIENCE, type Patience } from '../patience.ts';

/** Without one, the SDK warns on the console of what it cannot try again, which `putStreamedPart` does. */
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * A client for writing: the SDK's own retry is the one layer there is. Bodies are arrays in memory, so it can send them
 * again.
 */
export function writingClient(config: S3ClientConfig, { attempts, answer, send }: Patience = PATIENCE): S3Client {
  return new S3Client({
    maxAttempts: attempts,
    logger: SILENT,
    // Checksums are sent by name, as headers; the SDK's own would be a trailer, which not every store takes.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: 3_000,
      requestTimeout: send,
      socketTimeout: answer,
      throwOnRequestTimeout: true,
      httpAgent: { maxSockets: 64 },
      httpsAgent: { maxSockets: 64 },
    },
    ...config,
  });
}
