import { fileURLToPath } from 'node:url';
import type { Command } from './measured.ts';

/** A store, and who we are to it. */
export interface BenchStore {
  readonly name: 'Ceph' | 'local S3';
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** `BUCKET/KEY`. */
export type Remote = string;

/** A program that copies between files and a store: how it is told to download and to upload. */
export interface CopyTool {
  readonly name: 'aws' | 'rclone';
  readonly down: (store: BenchStore, remote: Remote, file: string) => Command;
  readonly up: (store: BenchStore, file: string, remote: Remote) => Command;
}

const credentials = ({ accessKeyId, secretAccessKey }: BenchStore) => ({
  AWS_ACCESS_KEY_ID: accessKeyId,
  AWS_SECRET_ACCESS_KEY: secretAccessKey,
  AWS_REGION: 'us-east-1',
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_CA_BUNDLE: '', // of no use here, and rclone cannot have one
});

const aws = (store: BenchStore, from: string, to: string): Command => ({
  argv: ['/usr/bin/aws', '--endpoint-url', store.endpoint, 's3', 'cp', '--only-show-errors', from, to],
  env: credentials(store),
});

/** Parts as large as ours, and four at a time, as we have them; else rclone's own defaults. */
const RCLONE = ['--s3-chunk-size', '64M', '--s3-upload-concurrency', '4', '--multi-thread-streams', '4'];

const rclone = (store: BenchStore, from: string, to: string): Command => ({
  argv: ['rclone', 'copyto', ...RCLONE, from, to],
  env: {
    ...credentials(store),
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_STORE_TYPE: 's3',
    RCLONE_CONFIG_STORE_PROVIDER: store.name === 'Ceph' ? 'Ceph' : 'Other',
    RCLONE_CONFIG_STORE_ENV_AUTH: 'true',
    RCLONE_CONFIG_STORE_ENDPOINT: store.endpoint,
    RCLONE_S3_NO_CHECK_BUCKET: 'true',
  },
});

export const COPY_TOOLS = [
  {
    name: 'aws',
    down: (store, remote, file) => aws(store, `s3://${remote}`, file),
    up: (store, file, remote) => aws(store, file, `s3://${remote}`),
  },
  {
    name: 'rclone',
    down: (store, remote, file) => rclone(store, `store:${remote}`, file),
    up: (store, file, remote) => rclone(store, file, `store:${remote}`),
  },
] as const satisfies readonly CopyTool[];

export const qemuConvert = (image: string, raw: string): Command => ({
  argv: ['qemu-img', 'convert', '-W', '-m', '8', '-O', 'raw', image, raw],
});

const UNQCOW = fileURLToPath(new URL('../../bin/unqcow', import.meta.url));

export const unqcow = (image: string, raw: string, store?: BenchStore): Command => ({
  argv: [UNQCOW, 'convert', '--quiet', image, raw],
  ...(store ? { env: { ...credentials(store), AWS_ENDPOINT_URL_S3: store.endpoint } } : {}),
});
