import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach } from 'vitest';
import {
  type LocalS3,
  type LocalS3Options,
  type S3EventBridgeEvent,
  type S3NotificationEvent,
  startLocalS3,
} from '../../../infra/local/s3/server.ts';
import { TestS3 } from './use-s3.ts';

const credentials = { accessKeyId: 'LOCALACCESSKEY', secretAccessKey: 'local/secret+key' };

/** Our own server with a bucket in it, which can be looked into and restarted. */
export class TestLocalS3 extends TestS3 {
  server!: LocalS3;
  dir = '';
  readonly events: S3NotificationEvent[] = [];
  readonly bridged: S3EventBridgeEvent[] = [];
  readonly credentials = credentials;

  async start(options: Partial<LocalS3Options> = {}): Promise<void> {
    const onCreated = (event: S3NotificationEvent) => this.events.push(event);
    const onEventBridge = (event: S3EventBridgeEvent) => this.bridged.push(event);
    this.server = await startLocalS3({ dir: this.dir, credentials, onCreated, onEventBridge, ...options });
    this.use(this.server.endpoint);
  }

  /** Sends what follows to another server. */
  use(endpoint: string): void {
    this.client?.destroy();
    this.target = { endpoint, region: 'us-east-1', credentials, close: async () => {} };
    this.client = this.newClient();
  }

  /** Ends the server and starts another one on the same data. */
  async restart(options: Partial<LocalS3Options> = {}): Promise<void> {
    await this.stop();
    await this.start(options);
  }

  async stop(): Promise<void> {
    this.client.destroy();
    await this.server.close();
  }

  /** All files under a folder of the data folder, with their sizes in bytes. */
  async files(folder = ''): Promise<{ readonly name: string; readonly size: number }[]> {
    const entries = await readdir(join(this.dir, folder), { recursive: true, withFileTypes: true });
    const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    return Promise.all(
      paths.map(async (path) => ({ name: path.slice(this.dir.length + 1), size: (await stat(path)).size })),
    );
  }

  /** Bytes of data on disk. */
  async stored(): Promise<number> {
    return (await this.files('blobs'))
      .filter(({ name }) => !name.endsWith('.crc'))
      .reduce((sum, { size }) => sum + size, 0);
  }
}

/** A server and a data folder of its own for each test. */
export function useLocalS3(): TestLocalS3 {
  const s3 = new TestLocalS3();
  beforeEach(async () => {
    s3.dir = await mkdtemp(join(tmpdir(), 'unqcow-local-s3-'));
    s3.events.length = 0;
    s3.bridged.length = 0;
    await s3.start();
    await s3.client.send(new CreateBucketCommand({ Bucket: s3.bucket }));
  });
  afterEach(async () => {
    await s3.stop();
    await rm(s3.dir, { recursive: true });
  });
  return s3;
}
