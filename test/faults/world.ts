import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type LocalStack, startStack } from '../../infra/local/stack.ts';
import type { Description, LocalFunction } from '../../infra/local/step-functions/server.ts';
import { openStores, type Stores } from '../../lib/jobs/stores.ts';
import { ensureZeros } from '../../lib/sink/s3-zeros.ts';
import { sixParts } from '../pipeline/small-world.ts';
import { notification } from '../pipeline/use-pipeline.ts';
import { openTarget } from '../s3/target.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import type { Ending } from './cells.ts';
import { calling, handlerOf, plainClient, WAITS, watchedStores } from './clients.ts';
import { type DiskName, encryptedOverlay, LIMITS, small, type TestDisk } from './disks.ts';

type BucketRole = keyof LocalStack['buckets'];

/** The whole stack over an S3 behind a proxy with faults. What is not the stack's own goes straight to the store. */
export class World {
  readonly faulty: FaultyS3;
  readonly stack: LocalStack;
  readonly disks: Readonly<Record<DiskName, TestDisk>>;
  readonly #client: S3Client;
  readonly #stores: Stores;
  readonly #held: Holding;
  #executions = 0;

  constructor(parts: Pick<World, 'faulty' | 'stack' | 'disks'>, client: S3Client, stores: Stores, held: Holding) {
    this.faulty = parts.faulty;
    this.stack = parts.stack;
    this.disks = parts.disks;
    this.#client = client;
    this.#stores = stores;
    this.#held = held;
  }

  /** The input that converts a disk. */
  conversion(disk: DiskName, key: string) {
    const { images, raw } = this.stack.buckets;
    return { source: { bucket: images, key: disk }, destination: { bucket: raw, key } };
  }

  execute(input: unknown): Promise<Description> {
    const name = `execution-${++this.#executions}`;
    this.stack.stepFunctions.start(name, input);
    return this.stack.stepFunctions.wait(name);
  }

  /** Starts a conversion in parts that has made them all, and does not go on before it is let go. */
  async hold(key: string): Promise<{ readonly id: string; letGo(): Promise<unknown> }> {
    const id = `execution-${++this.#executions}`;
    const { reached, go } = this.#held.at(key);
    this.stack.stepFunctions.start(id, this.conversion('parts', key));
    const ended = this.stack.stepFunctions.wait(id);
    await Promise.race([reached.promise, ended]);
    return {
      id,
      letGo: async () => {
        go.resolve();
        await ended;
        await this.remove('raw', key);
      },
    };
  }

  async outcomeOf(ended: Promise<Description>): Promise<Ending> {
    const { status, error } = await ended;
    return status === 'SUCCEEDED' ? { result: 'done' } : { result: 'failed by name', error };
  }

  /** What lies there of a disk: nothing, the right bytes, or others. */
  async made(disk: DiskName, key: string): Promise<'nothing' | 'right' | 'WRONG'> {
    try {
      const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: this.stack.buckets.raw, Key: key }));
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
      return this.raw(disk).equals(bytes) ? 'right' : 'WRONG';
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey') return 'nothing';
      throw error;
    }
  }

  raw(disk: DiskName): Buffer {
    return readFileSync(this.disks[disk].raw);
  }

  async put(disk: DiskName, key: string): Promise<void> {
    const Body = readFileSync(this.disks[disk].path);
    await this.#client.send(new PutObjectCommand({ Bucket: this.stack.buckets.images, Key: key, Body }));
  }

  async remove(bucket: BucketRole, key: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.stack.buckets[bucket], Key: key }));
  }

  uploadEvent(key: string): Promise<unknown> {
    return notification(this.#stores, this.stack.buckets.images, key);
  }

  async openUploads(): Promise<number> {
    const { raw, work } = this.stack.buckets;
    const lists = [raw, work].map((Bucket) => this.#client.send(new ListMultipartUploadsCommand({ Bucket })));
    return (await Promise.all(lists)).reduce((sum, { Uploads = [] }) => sum + Uploads.length, 0);
  }

  /** Keys of jobs that have ended are of no more use to anybody. */
  async sealedKeys(): Promise<number> {
    const { Contents = [] } = await this.#client.send(new ListObjectsV2Command({ Bucket: this.stack.buckets.work }));
    return Contents.filter(({ Key = '' }) => Key.endsWith('/keys.json')).length;
  }

  /** Has the object of zeros be there, or not: whatever came before. */
  async layZeros(areThere: boolean): Promise<void> {
    if (areThere) await ensureZeros(this.#stores.writer, this.stack.buckets.work, '', LIMITS.maxCopyPart);
    else for (const zeros of ['zeros-536870912', 'zeros-seed']) await this.remove('work', zeros);
  }
}

/** @param wait For how long an answer is waited for, in milliseconds. */
export async function startWorld(wait: number = WAITS.short): Promise<{ world: World; close(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-faults-'));
  const secrets = join(folder, 'secrets');
  const { base, overlay } = encryptedOverlay(folder, secrets);
  const disks = { parts: sixParts(folder, 'parts'), whole: small(folder), overlay };
  const target = await openTarget();
  const faulty = new FaultyS3();
  await faulty.start(target.endpoint);
  const id = `${process.pid.toString(36)}-${wait}`;
  const buckets = { images: `images-${id}`, raw: `raw-${id}`, work: `work-${id}` };
  const client = plainClient(target, target.endpoint);
  const held = new Holding();
  const stack = await startStack({
    store: { ...target, endpoint: faulty.endpoint, ...handlerOf(wait) },
    buckets,
    secrets: { dir: secrets },
    limits: LIMITS,
    settledAfter: 0,
    retryDelayScale: 0,
    stores: () => watchedStores(target, faulty.endpoint, wait),
    lambda: (name, create) => calling(name, name === 'complete' ? held.before(create()) : create()),
  });
  const images = { ...Object.fromEntries(Object.entries(disks).map(([key, { path }]) => [key, path])), base };
  for (const [Key, path] of Object.entries(images)) {
    await client.send(new PutObjectCommand({ Bucket: buckets.images, Key, Body: readFileSync(path) }));
  }
  return {
    world: new World({ faulty, stack, disks }, client, openStores(target), held),
    async close() {
      await stack.close();
      await faulty.close();
      client.destroy();
      await target.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Conversions that wait for a word before their last task, by their destinations. */
class Holding {
  readonly #held = new Map<string, { reached: PromiseWithResolvers<void>; go: PromiseWithResolvers<void> }>();

  at(key: string) {
    const held = { reached: Promise.withResolvers<void>(), go: Promise.withResolvers<void>() };
    this.#held.set(key, held);
    return held;
  }

  before(complete: LocalFunction): LocalFunction {
    return async (payload, context) => {
      const { destination } = payload as { destination?: { key: string } };
      const held = this.#held.get(destination?.key ?? '');
      held?.reached.resolve();
      await held?.go.promise;
      return complete(payload, context);
    };
  }
}
