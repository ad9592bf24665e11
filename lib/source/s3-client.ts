import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { PATIENCE, type Patience } from '../patience.ts';

const patience = new WeakMap<S3Client, Patience>();

/** A client for reading. It never retries: the source does, since only it can tell a body that was cut short. */
export function readingClient(config: S3ClientConfig, patient: Patience = PATIENCE): S3Client {
  const client = new S3Client({
    maxAttempts: 1,
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: 3_000, httpAgent: { maxSockets: 64 }, httpsAgent: { maxSockets: 64 } },
    ...config,
  });
  patience.set(client, patient);
  return client;
}

/** What a client for reading was made with. */
export const patienceOf = (client: S3Client): Patience => patience.get(client) ?? PATIENCE;
