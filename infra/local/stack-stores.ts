import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { type LocalS3, startLocalS3 } from './s3/server.ts';
import { ensureSecret, type LocalSecretsManager, startSecretsManager } from './secrets-manager.ts';
import { LOCAL_CREDENTIALS, REGION, SEALING_SECRET } from './stack-config.ts';
import type { Buckets, StackOptions, StoreConfig } from './stack-options.ts';

export interface Stores {
  readonly store: StoreConfig;
  /** The local S3, if it is ours. */
  readonly s3: LocalS3 | undefined;
  /** What Step Functions speaks to the store with. */
  readonly client: S3Client;
  readonly secrets: LocalSecretsManager | undefined;
}

/**
 * An S3 with the buckets, and secrets where they are asked for.
 *
 * @param started Gets what stops each part, as it is started.
 * @param onCreated Gets the events of a local S3.
 */
export async function startStores(
  options: Pick<StackOptions, 'store' | 'secrets'>,
  buckets: Buckets,
  started: AsyncDisposableStack,
  onCreated: (event: unknown) => void,
): Promise<Stores> {
  const { s3, store } =
    'dir' in options.store ? await startOwnS3(options.store, onCreated) : { s3: undefined, store: options.store };
  if (s3) started.defer(() => s3.close());
  const path = { forcePathStyle: true, requestChecksumCalculation: 'WHEN_REQUIRED' } as const;
  // Says whose requests they are, for whoever reads along.
  const client = new S3Client({ ...store, ...path, customUserAgent: 'step-functions' });
  started.defer(() => client.destroy());
  await Promise.all(Object.values(buckets).map((bucket) => ensureBucket(client, bucket)));
  const secrets = options.secrets && (await startSecretsManager(options.secrets));
  if (secrets) started.defer(() => secrets.close());
  if (options.secrets) await ensureSecret(options.secrets.dir, SEALING_SECRET);
  return { store, s3, client, secrets };
}

async function startOwnS3(
  { dir, port = 0 }: { readonly dir: string; readonly port?: number },
  onCreated: (event: unknown) => void,
): Promise<{ s3: LocalS3; store: StoreConfig }> {
  const data = join(dir, 's3');
  await mkdir(data, { recursive: true });
  const s3 = await startLocalS3({ dir: data, port, credentials: LOCAL_CREDENTIALS, onCreated });
  return { s3, store: { endpoint: s3.endpoint, region: REGION, credentials: LOCAL_CREDENTIALS } };
}

async function ensureBucket(client: S3Client, bucket: string): Promise<void> {
  const there = await client.send(new HeadBucketCommand({ Bucket: bucket })).catch(() => undefined);
  if (!there) await client.send(new CreateBucketCommand({ Bucket: bucket }));
}
