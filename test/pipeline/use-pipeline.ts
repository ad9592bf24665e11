import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll } from 'vitest';
import type { Triggered } from '../../functions/on-upload.ts';
import { type LocalStack, type StackOptions, startStack } from '../../infra/local/stack.ts';
import type { Description } from '../../infra/local/step-functions/server.ts';
import { openStores, type Stores } from '../../lib/jobs/stores.ts';
import { splitRange } from '../../lib/ranges.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import { putWhole } from '../../lib/sink/s3-whole.ts';
import { openFile } from '../../lib/source/file.ts';
import { openS3 } from '../../lib/source/s3.ts';
import { MiB } from '../../lib/units.ts';
import { openTarget, type Target, targetKind } from '../s3/target.ts';

export interface Pipeline {
  readonly stack: LocalStack;
  readonly stores: Stores;
  readonly client: S3Client;
  /** Uploads a file as an image, and waits for what its upload event starts. A real store sends none: it is made up. */
  upload(path: string, key: string): Promise<Description>;
  /** Puts an object where images lie, without waiting. */
  put(path: string, key: string): Promise<void>;
  /** Runs a conversion as a caller of the state machine would start it. */
  convert(input: unknown): Promise<Description>;
  /** How the raw object differs from a local file, if it does. */
  difference(key: string, path: string): Promise<string | undefined>;
  /** Keys of the multipart uploads that are open. */
  openUploads(): Promise<(string | undefined)[]>;
}

/** Options of every stack that is started from here on. Another suite sets it to run these tests over something else. */
export const STACK: { options: Partial<StackOptions> } = { options: {} };

/** Around what a test puts in a function's place, another suite puts what it has. */
function lambdaOver(inner: StackOptions['lambda'], outer: StackOptions['lambda']): Pick<StackOptions, 'lambda'> {
  if (!inner || !outer) return {};
  return { lambda: (name, create, services) => outer(name, () => inner(name, create, services), services) };
}

/** The whole stack for one file of tests: over our S3, or the real one that `UNQCOW_TEST_S3_ENDPOINT` names. */
export function usePipeline(options: Partial<StackOptions> = {}): Pipeline {
  const ended = new Map<string, (execution: string) => void>();
  let state: { folder: string; target: Target | undefined; stack: LocalStack; stores: Stores; client: S3Client };

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'unqcow-pipeline-'));
    const target = targetKind === 'ours' ? undefined : await openTarget();
    const id = randomBytes(4).toString('hex');
    const stack = await startStack({
      store: target ?? { dir: folder },
      buckets: { images: `images-${id}`, raw: `raw-${id}`, work: `work-${id}` },
      retryDelayScale: 0,
      ...options,
      ...STACK.options,
      ...lambdaOver(options.lambda, STACK.options.lambda),
      onEvent: (event) => {
        options.onEvent?.(event);
        if (event.type !== 'ended') return;
        const { source } = JSON.parse(stack.stepFunctions.describe(event.execution).input) as Input;
        ended.get(source.key)?.(event.execution);
      },
    });
    const client = new S3Client({ ...stack.store, forcePathStyle: true });
    state = { folder, target, stack, stores: openStores(stack.store), client };
  });

  afterAll(async () => {
    await state.stack.stepFunctions.close();
    if (state.target)
      for (const bucket of Object.values(state.stack.buckets)) await emptyAndDelete(state.client, bucket);
    await state.stack.close();
    await rm(state.folder, { recursive: true });
  });

  const put = async (path: string, key: string) => {
    const { size } = await stat(path);
    const target = { bucket: state.stack.buckets.images, key };
    await putWhole(state.stores.writer, target, createReadStream(path), size);
  };

  return {
    get stack() {
      return state.stack;
    },
    get stores() {
      return state.stores;
    },
    get client() {
      return state.client;
    },
    put,
    async upload(path, key) {
      const execution = new Promise<string>((resolve) => ended.set(key, resolve));
      await put(path, key);
      if (!state.stack.s3) await state.stack.deliver(await notification(state.stores, state.stack.buckets.images, key));
      return state.stack.stepFunctions.wait(await execution);
    },
    convert(input) {
      const name = `test-${randomBytes(8).toString('hex')}`;
      state.stack.stepFunctions.start(name, input);
      return state.stack.stepFunctions.wait(name);
    },
    async difference(key, path) {
      const [made, expected] = await Promise.all([
        openS3(state.stores.reader, { bucket: state.stack.buckets.raw, key }),
        openFile(path),
      ]);
      if (made.size !== expected.size) return `${made.size} bytes are not ${expected.size}`;
      for (const range of splitRange({ start: 0, end: made.size }, 32 * MiB)) {
        const [ours, theirs] = await Promise.all([made.read(range), expected.read(range)]);
        if (Buffer.compare(ours, theirs) !== 0) return `they differ within ${range.start}–${range.end}`;
      }
      await expected.close();
      return undefined;
    },
    async openUploads() {
      const buckets = [state.stack.buckets.raw, state.stack.buckets.work];
      const lists = await Promise.all(
        buckets.map((Bucket) => state.client.send(new ListMultipartUploadsCommand({ Bucket }))),
      );
      return lists.flatMap(({ Uploads = [] }) => Uploads).map(({ Key }) => Key);
    },
  };
}

/** The execution that an upload started or found. @throws if it was ignored. */
export function executionOf(upload: Triggered | undefined): string {
  if (upload === undefined || upload.outcome === 'ignored') throw new Error(`no conversion: ${JSON.stringify(upload)}`);
  return upload.execution;
}

interface Input {
  readonly source: { readonly key: string };
}

/** What S3 would have sent. */
export async function notification(
  stores: Stores,
  bucket: string,
  key: string,
  sequencer = randomBytes(8).toString('hex'),
): Promise<unknown> {
  const object = await headObject(stores.reader, { bucket, key });
  const encoded = encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/');
  const s3 = { bucket: { name: bucket }, object: { key: encoded, eTag: object?.etag.replaceAll('"', ''), sequencer } };
  return { Records: [{ eventSource: 'aws:s3', eventName: 'ObjectCreated:Put', s3 }] };
}

async function emptyAndDelete(client: S3Client, Bucket: string): Promise<void> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
  for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket, Key }));
  await client.send(new DeleteBucketCommand({ Bucket }));
}
