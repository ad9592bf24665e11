/**
 * `npm run demo [-- IMAGE.qcow2]`: the main job on a real image, on this machine. An upload to S3 starts the state
 * machine; what comes out is compared with `qemu-img convert`, byte for byte. Exits 0 only if it is the same.
 */
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type LocalStack, startStack } from '../infra/local/stack.ts';
import type { ExecutionEvent } from '../infra/local/step-functions/server.ts';
import type { ConversionResult } from '../lib/jobs/conversion.ts';
import { openStores, type Stores } from '../lib/jobs/stores.ts';
import { splitRange } from '../lib/ranges.ts';
import { putWhole } from '../lib/sink/s3-whole.ts';
import type { ByteSource } from '../lib/source/byte-source.ts';
import { openFile } from '../lib/source/file.ts';
import { openS3 } from '../lib/source/s3.ts';
import { formatBytes, MiB } from '../lib/units.ts';
import { tell } from './commands/local.ts';
import { makeImage, run } from './demo-image.ts';
import { note, print, printWarnings, reportRefusal } from './report.ts';

const began = performance.now();
const step = (text: string) => print(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${text}`);

const folder = await mkdtemp(join(tmpdir(), 'unqcow-demo-'));
const ended = Promise.withResolvers<string>();
const onEvent = (event: ExecutionEvent) => {
  step(tell(event));
  if (event.type === 'ended') ended.resolve(event.execution);
};
try {
  const stack = await startStack({ store: { dir: folder }, onEvent });
  step(`the local stack runs: S3 at ${stack.store.endpoint}, HTTP API at ${stack.apiEndpoint}`);
  try {
    process.exitCode = (await demonstrate(stack, process.argv[2])) ? 0 : 1;
  } finally {
    await stack.close();
  }
} catch (error) {
  reportRefusal(error, false);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function demonstrate(stack: LocalStack, given: string | undefined): Promise<boolean> {
  const image = given ?? (await makeImage(join(folder, 'disk.qcow2'), step));
  const key = basename(image).replace(/(\.qcow2?)?$/i, '.qcow2');
  const { size } = await stat(image);
  const stores = openStores(stack.store);
  step(`uploading ${image}, ${formatBytes(size)}, to s3://${stack.buckets.images}/${key}`);
  await putWhole(stores.writer, { bucket: stack.buckets.images, key }, createReadStream(image), size);
  await showMetadata(`${stack.apiEndpoint}/images/${stack.buckets.images}/${encodeURIComponent(key)}`);
  const outcome = await stack.stepFunctions.wait(await ended.promise);
  if (outcome.status !== 'SUCCEEDED') {
    note(`the conversion ended as ${outcome.status}: ${outcome.error} ${outcome.cause ?? ''}`);
    return false;
  }
  const result = outcome.output as ConversionResult;
  showResult(result, stack);
  return matchesQemu(image, result, stores);
}

async function showMetadata(url: string): Promise<void> {
  const response = await fetch(url);
  const info = (await response.json()) as Record<string, unknown>;
  step(`GET ${url} → ${response.status}`);
  for (const [name, value] of Object.entries(info)) {
    if (name !== 'unqcow') print(`             ${name}: ${JSON.stringify(value)}`);
  }
}

function showResult(
  { destination, size, crc32, proven, parts, read, warnings }: ConversionResult,
  { s3 }: LocalStack,
): void {
  const kinds = parts ? Object.entries(parts).map(([kind, count]) => `${count} ${kind}`) : ['one stream'];
  const metrics = s3?.metrics();
  printWarnings(warnings);
  step(`s3://${destination.bucket}/${destination.key}`);
  print(`             size: ${size} bytes (${formatBytes(size)})`);
  print(`             checksum: CRC-32 ${crc32 ?? 'unknown'}${proven ? ', proven by S3' : ''}`);
  print(`             parts: ${kinds.join(', ')}`);
  print(`             read of the image: ${formatBytes(read.bytes)} in ${read.requests} requests`);
  if (!metrics) return;
  const requests = Object.entries(metrics.requests).map(([name, count]) => `${count} ${name}`);
  print(
    `             S3 in all: ${formatBytes(metrics.bytesIn)} in, ${formatBytes(metrics.bytesOut)} out; ${requests.join(', ')}`,
  );
}

/** Compares the object in S3 with what `qemu-img convert` makes of the same image. */
async function matchesQemu(image: string, { destination }: ConversionResult, { reader }: Stores): Promise<boolean> {
  const raw = join(folder, 'qemu.raw');
  await run('qemu-img', ['convert', '-O', 'raw', image, raw]);
  const expected = await openFile(raw);
  try {
    const { bucket, key, versionId } = destination;
    const difference = await firstDifference(await openS3(reader, { bucket, key, versionId }), expected);
    step(
      difference === undefined ? 'the raw object equals qemu-img convert, byte for byte' : `DIFFERENT: ${difference}`,
    );
    return difference === undefined;
  } finally {
    await expected.close();
  }
}

async function firstDifference(made: ByteSource, expected: ByteSource): Promise<string | undefined> {
  if (made.size !== expected.size) return `${made.size} bytes, where qemu-img has ${expected.size}`;
  for (const range of splitRange({ start: 0, end: expected.size }, 32 * MiB)) {
    const [ours, theirs] = await Promise.all([made.read(range), expected.read(range)]);
    if (Buffer.compare(ours, theirs) !== 0) return `within bytes ${range.start}–${range.end}`;
  }
  return undefined;
}
