import type { Patience } from '../patience.ts';
import { writingClient } from '../sink/s3-client.ts';
import { readingClient } from '../source/s3-client.ts';

/** The two ways in which we speak to S3: each has one layer of retries, in another place. */
export interface Stores {
  readonly reader: ReturnType<typeof readingClient>;
  readonly writer: ReturnType<typeof writingClient>;
}

type ClientConfig = Parameters<typeof readingClient>[0];

/**
 * Makes both clients from the environment that the SDK knows (`AWS_REGION`, `AWS_ENDPOINT_URL_S3`, credentials), or from
 * what is given. An endpoint of one's own is spoken to path-style, since it seldom resolves
 * bucket names, and needs no region.
 */
export function openStores(given: ClientConfig = {}, patience?: Patience): Stores {
  const { AWS_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL } = process.env;
  const isOwn = (given.endpoint ?? AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL) !== undefined;
  const config: ClientConfig = {
    ...(isOwn ? { forcePathStyle: true } : {}),
    ...(isOwn && !AWS_REGION ? { region: 'us-east-1' } : {}),
    ...given,
  };
  return { reader: readingClient(config, patience), writer: writingClient(config, patience) };
}
