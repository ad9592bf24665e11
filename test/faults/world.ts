import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type LocalStack, startStack } from '../../infra/local/stack.ts';
import type { Description } from '../../infra/local/step-functions/server.ts';
import { openStores } from '../../lib/jobs/stores.ts';
import { ensureZeros } from '../../lib/sink/s3-zeros.ts';
import { MiB } from '../../lib/units.ts';
import { SMALL_PARTS, sixParts } from '../pipeline/small-world.ts';
import { openTarget } from '../s3/target.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { calling, handlerOf, plainClient, WAITS, watchedStores } from './clients.ts';

/** How a disk is made: in parts, by many functions; the same, with the object of zeros to be made first; or whole, by one. */
export type Mode = 'parts' | 'zeros' | 'whole';

const LIMITS = { ...SMALL_PARTS, wholeDisk: 20 * MiB };

export interface World {
  readonly faulty: FaultyS3;
  readonly stack: LocalStack;
  /** Straight to the store. */
  readonly client: S3Client;
  /** Converts the image of that mode to a key of its own. */
  convert(mode: Mode, key: string): Promise<Description>;
  /** What lies there: nothing, the right disk, or another. */
  made(mode: Mode, key: string): Promise<'nothing' | 'right' | 'WRONG'>;
  openUploads(): Promise<number>;
  /** Forgets the raw disk. Afterwards the object of zeros is there, or is not where it is to be made: whatever came before. */
  clear(mode: Mode, key: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * The whole stack over an S3 behind a proxy with faults; a conversion is a matter of a fraction of a second.
 *
 * @param wait For how long an answer is waited for, in milliseconds.
 */
export async function startWorld(wait: number = WAITS.short): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-faults-'));
  const target = await openTarget();
  const faulty = new FaultyS3();
  await faulty.start(target.endpoint);
  const id = `${process.pid.toString(36)}-${wait}`;
  const buckets = { images: `images-${id}`, raw: `raw-${id}`, work: `work-${id}` };
  const client = plainClient(target, target.endpoint);
  const { writer } = openStores(target);
  const stack = await startStack({
    store: { ...target, endpoint: faulty.endpoint, ...handlerOf(wait) },
    buckets,
    limits: LIMITS,
    settledAfter: 0,
    retryDelayScale: 0,
    stores: () => watchedStores(target, faulty.endpoint, wait),
    lambda: (name, create) => calling(name, create()),
  });
  const parts = sixParts(folder, 'parts');
  const images = { parts, zeros: parts, whole: small(folder) };
  for (const [key, { path }] of Object.entries(images)) {
    await client.send(new PutObjectCommand({ Bucket: buckets.images, Key: key, Body: readFileSync(path) }));
  }
  let count = 0;
  return {
    faulty,
    stack,
    client,
    async convert(mode, key) {
      const name = `cell-${++count}`;
      const source = { bucket: buckets.images, key: mode };
      stack.stepFunctions.start(name, { source, destination: { bucket: buckets.raw, key } });
      return stack.stepFunctions.wait(name);
    },
    async made(mode, key) {
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: buckets.raw, Key: key }));
        const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
        return readFileSync(images[mode].raw).equals(bytes) ? 'right' : 'WRONG';
      } catch (error) {
        if ((error as Error).name === 'NoSuchKey') return 'nothing';
        throw error;
      }
    },
    async openUploads() {
      const lists = [buckets.raw, buckets.work].map((Bucket) =>
        client.send(new ListMultipartUploadsCommand({ Bucket })),
      );
      return (await Promise.all(lists)).reduce((sum, { Uploads = [] }) => sum + Uploads.length, 0);
    },
    async clear(mode, key) {
      const remove = (Bucket: string, Key: string) => client.send(new DeleteObjectCommand({ Bucket, Key }));
      await remove(buckets.raw, key);
      if (mode === 'zeros') for (const zeros of ['zeros-536870912', 'zeros-seed']) await remove(buckets.work, zeros);
      else if (mode === 'parts') await ensureZeros(writer, buckets.work, '', LIMITS.maxCopyPart);
    },
    async close() {
      await stack.close();
      await faulty.close();
      client.destroy();
      await target.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** A disk that one function makes, in an upload of two parts. */
function small(folder: string): { readonly path: string; readonly raw: string } {
  const path = join(folder, 'whole');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(LIMITS.wholeDisk)]);
  execFileSync('qemu-io', ['-c', 'write -P 7 0 192k', '-c', 'write -c -P 8 3M 64k', '-c', 'write -P 9 17M 64k', path]);
  execFileSync('qemu-img', ['convert', '-O', 'raw', path, `${path}.raw`]);
  return { path, raw: `${path}.raw` };
}
