import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketAclCommand,
  PutObjectAclCommand,
} from '@aws-sdk/client-s3';
import { openStores } from '../../lib/jobs/stores.ts';
import { PLAN_LIMITS } from '../../lib/plan/s3-limits.ts';
import { type BenchStore, COPY_TOOLS, type CopyTool, qemuConvert, unqcow } from './contenders.ts';
import type { Corpus, ImageName } from './corpus.ts';
import { counted, type Passed } from './counting-proxy.ts';
import { assertWithinCeiling, type Command, ceiling, measured, type Taken } from './measured.ts';

const BUCKET = 'unqcow-bench';

/** One image in one store: what each way took, run by run. Runs of the same index followed one another. */
export interface StoreRow {
  readonly image: ImageName;
  readonly ours: readonly Taken[];
  readonly theirs: readonly Taken[];
  /** The copying tool that was the faster one. */
  readonly tool: CopyTool['name'];
  readonly oursPassed: Passed;
  readonly theirsPassed: Passed;
  /** `qemu-img` reading by HTTP, then the upload; where the store serves it without a signature. */
  readonly overHttp: readonly Taken[];
}

export interface StoreBench {
  readonly store: BenchStore;
  readonly corpus: Corpus;
  readonly images: readonly ImageName[];
  readonly runs: number;
  /** A folder for the files of today's way. */
  readonly scratch: string;
  readonly note: (line: string) => void;
  /** Gets the rows so far after each image: all of them take an hour. */
  readonly onRow: (rows: readonly StoreRow[]) => Promise<void>;
}

/** Measures image by image: ours and theirs in turn, after one run of each that is counted and compared, but not timed. */
export async function inStore(bench: StoreBench): Promise<void> {
  const { store, corpus, images, onRow } = bench;
  const { writer } = openStores({
    endpoint: store.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
  });
  const remove = (key: string) => writer.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key }));
  await writer.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const isPublic = store.name === 'Ceph';
  if (isPublic) await writer.send(new PutBucketAclCommand({ Bucket: BUCKET, ACL: 'public-read' }));
  const rows: StoreRow[] = [];
  for (const image of images) {
    const key = `${image}.qcow2`;
    await measured([COPY_TOOLS[0].up(store, corpus.images[image], `${BUCKET}/${key}`)]);
    if (isPublic) await writer.send(new PutObjectAclCommand({ Bucket: BUCKET, Key: key, ACL: 'public-read' }));
    rows.push(await oneImage(bench, image, { remove, get: (raw) => crcOfObject(writer, raw) }));
    await remove(key);
    await onRow(rows);
  }
}

interface Objects {
  readonly remove: (key: string) => Promise<unknown>;
  /** The CRC-32 of an object's bytes. */
  readonly get: (key: string) => Promise<number>;
}

async function oneImage(
  { store, runs, scratch, note }: StoreBench,
  image: ImageName,
  { remove, get }: Objects,
): Promise<StoreRow> {
  const remote = `${BUCKET}/${image}.qcow2`;
  const [downloaded, raw] = [join(scratch, 'image.qcow2'), join(scratch, 'disk.raw')];
  const clean = async () => {
    await remove('raw');
    await Promise.all([downloaded, raw].map((file) => rm(file, { force: true })));
  };
  const run = async (commands: readonly Command[]) => {
    await clean();
    return measured(commands);
  };
  const ours = (at: BenchStore) => [unqcow(`s3://${remote}`, `s3://${BUCKET}/raw`, at)];
  const todays = (tool: CopyTool, at: BenchStore) => [
    tool.down(at, remote, downloaded),
    qemuConvert(downloaded, raw),
    tool.up(at, raw, `${BUCKET}/raw`),
  ];
  const tries = [];
  for (const tool of COPY_TOOLS) tries.push({ tool, taken: await run(todays(tool, store)) });
  note(
    `${store.name}, ${image}: ${tries.map(({ tool, taken }) => `${tool.name} ${taken.wall.toFixed(1)} s`).join(', ')}`,
  );
  const { tool } = tries.reduce((a, b) => (a.taken.wall <= b.taken.wall ? a : b));
  const theirsPassed = await counted(store.endpoint, (endpoint) => run(todays(tool, { ...store, endpoint })));
  const expected = await crcOf(createReadStream(raw, { highWaterMark: 2 ** 20 }));
  const oursPassed = await counted(store.endpoint, (endpoint) => run(ours({ ...store, endpoint })));
  if ((await get('raw')) !== expected) throw new Error(`${image} in ${store.name}: our bytes are not qemu-img's`);

  const pairs: [Taken, Taken][] = [];
  const overHttp: Taken[] = [];
  for (let i = 0; i < runs; i += 1) {
    const pair: [Taken, Taken] = [await run(ours(store)), await run(todays(tool, store))];
    pairs.push(pair);
    assertWithinCeiling(`${store.name}, ${image}`, pair[0], ceiling(PLAN_LIMITS.dataPart));
    note(
      `${store.name}, ${image}: ${pair.map(({ wall, cpu }) => `${wall.toFixed(1)} s (CPU ${cpu.toFixed(1)})`).join(' against ')}`,
    );
    if (store.name !== 'Ceph') continue;
    const url = JSON.stringify({ driver: 'qcow2', file: { driver: 'http', url: `${store.endpoint}/${remote}` } });
    overHttp.push(await run([qemuConvert(`json:${url}`, raw), tool.up(store, raw, `${BUCKET}/raw`)]));
  }
  await clean();
  const [our, their] = [pairs.map(([taken]) => taken), pairs.map(([, taken]) => taken)];
  return { image, ours: our, theirs: their, tool: tool.name, oursPassed, theirsPassed, overHttp };
}

async function crcOfObject(client: ReturnType<typeof openStores>['writer'], key: string): Promise<number> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
  return crcOf(Body as AsyncIterable<Uint8Array>);
}

async function crcOf(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let crc = 0;
  for await (const chunk of chunks) crc = crc32(chunk, crc);
  return crc;
}
