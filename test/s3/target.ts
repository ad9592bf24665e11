import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalS3, startLocalS3 } from '../../infra/local/s3/server.ts';
import type { Kind } from './laxities.ts';

/** Where the suite's requests go. */
export interface Target {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  close(): Promise<void>;
}

/**
 * Which server the suite runs against: the one at `UNQCOW_TEST_S3_ENDPOINT`, of the kind `UNQCOW_TEST_S3_KIND`, with
 * `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`; without these, ours.
 */
export const targetKind: Kind = kindFrom(process.env.UNQCOW_TEST_S3_ENDPOINT, process.env.UNQCOW_TEST_S3_KIND);

function kindFrom(endpoint: string | undefined, kind: string | undefined): Kind {
  if (endpoint === undefined || endpoint === '') return 'ours';
  if (kind === 'ceph' || kind === 'swift' || kind === 'aws') return kind;
  throw new Error('UNQCOW_TEST_S3_KIND must say what UNQCOW_TEST_S3_ENDPOINT is: ceph, swift or aws');
}

/** Starts our server in a temporary folder, or names the real one. */
export async function openTarget(): Promise<Target> {
  if (targetKind === 'ours') return openOurs();
  const { UNQCOW_TEST_S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION = 'us-east-1' } = process.env;
  return {
    endpoint: UNQCOW_TEST_S3_ENDPOINT ?? '',
    region: AWS_REGION,
    credentials: { accessKeyId: AWS_ACCESS_KEY_ID ?? '', secretAccessKey: AWS_SECRET_ACCESS_KEY ?? '' },
    close: async () => {},
  };
}

async function openOurs(): Promise<Target> {
  const dir = await mkdtemp(join(tmpdir(), 'unqcow-s3-'));
  const credentials = { accessKeyId: 'LOCALACCESSKEY', secretAccessKey: 'local/secret+key' };
  const server: LocalS3 = await startLocalS3({ dir, credentials });
  const close = async () => {
    await server.close();
    await rm(dir, { recursive: true });
  };
  return { endpoint: server.endpoint, region: 'us-east-1', credentials, close };
}
