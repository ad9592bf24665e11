import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { readConfig } from '../../functions/_shared/config.ts';
import { type Deps, depsFor } from '../../functions/_shared/deps.ts';
import type { ExecutionDeps } from '../../functions/_shared/executions.ts';
import { startLocalS3 } from '../../infra/local/s3/server.ts';

/**
 * An S3 of which the functions may reach a part: they may read `s3://images/in/` and write `s3://raw/out/`, and keep their
 * records under `s3://work/jobs/`. There is a bucket of secrets, too.
 */
export interface HandlerWorld {
  readonly deps: ExecutionDeps;
  /** Inputs of the executions that were started; none of them runs. */
  readonly started: unknown[];
  put(bucket: string, key: string, body: Uint8Array | string): Promise<void>;
  close(): Promise<void>;
}

/** What may be asked of S3, however a function is called. */
export const ALLOWED_REQUEST =
  /^(GET|HEAD) images\/in\/.|^(GET|HEAD|PUT|POST|DELETE) (raw\/out\/.|work\/jobs\/.)|^LIST (images\/in\/|work\/jobs\/)/s;

/** A request in a line: its method, bucket and key, decoded once; of a listing the prefix. */
export function requestLine(method: string, path: string, prefix = ''): string {
  const place = decodeURIComponent(path).slice(1);
  const [, bucket = place, key = ''] = /^([^/]+)\/(.*)$/s.exec(place) ?? [];
  return key === '' ? `LIST ${bucket}/${prefix}` : `${method} ${bucket}/${key}`;
}

const credentials = { accessKeyId: 'LOCALACCESSKEY', secretAccessKey: 'local/secret+key' };
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as Deps['log'];

/** @param behind Puts something between the functions and the S3, and returns its endpoint. */
export async function openHandlerWorld(behind = async (endpoint: string) => endpoint): Promise<HandlerWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'unqcow-handlers-'));
  const server = await startLocalS3({ dir, credentials });
  const store = { region: 'us-east-1', credentials };
  const client = new S3Client({ ...store, endpoint: server.endpoint, forcePathStyle: true });
  for (const Bucket of ['images', 'raw', 'work', 'secrets']) await client.send(new CreateBucketCommand({ Bucket }));
  const config = readConfig({
    UNQCOW_SOURCES: 's3://images/in/',
    UNQCOW_DESTINATIONS: 's3://raw/out/',
    UNQCOW_WORK: 's3://work/jobs/',
    UNQCOW_UPLOAD_DESTINATION: 's3://raw/out/',
  });
  const deps = depsFor(config, silent, { ...store, endpoint: await behind(server.endpoint) });
  const started: unknown[] = [];
  const start = async (_: string, input: unknown) => {
    started.push(input);
    return new Date();
  };
  return {
    deps: { ...deps, executions: { start, describe: async () => undefined, stop: async () => new Date() } },
    started,
    async put(Bucket, Key, Body) {
      await client.send(new PutObjectCommand({ Bucket, Key, Body }));
    },
    async close() {
      client.destroy();
      for (const each of Object.values(deps.stores)) each.destroy();
      await server.close();
      await rm(dir, { recursive: true });
    },
  };
}
