/**
 * Starts 200 conversions at once, and asks 2,000 times what is in an image, 64 questions at a time, all of one process.
 *
 *     node test/faults/load.ts
 *
 * Ends with 1 if a job was lost, an answer was not right or not 429 or 503, or memory outgrew its bound.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import pMap from 'p-map';
import { startStack } from '../../infra/local/stack.ts';
import { MiB } from '../../lib/units.ts';
import { SMALL_PARTS, sixParts } from '../pipeline/small-world.ts';
import { report, table } from './report.ts';

const CONVERSIONS = 200;
/** Every so many are of a disk in parts. */
const IN_PARTS = 5;
const QUESTIONS = 2_000;
const AT_ONCE = 64;
const MEMORY = 2_048 * MiB;

const folder = mkdtempSync(join(tmpdir(), 'unqcow-load-'));
const ends: number[] = [];
let started = performance.now();
const stack = await startStack({
  store: { dir: folder },
  limits: SMALL_PARTS,
  workers: 1,
  onEvent: ({ type }) => type === 'ended' && ends.push(performance.now() - started),
});
const client = new S3Client({ ...stack.store, forcePathStyle: true });
const { images, raw } = stack.buckets;
let peak = 0;
const watch = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage().rss);
}, 50);
const wrong: string[] = [];

const small = join(folder, 'small');
execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', small, '1M']);
execFileSync('qemu-io', ['-c', 'write -P 1 0 192k', '-c', 'write -c -P 2 512k 64k', small]);
execFileSync('qemu-img', ['convert', '-O', 'raw', small, `${small}.raw`]);
const disks = { small: { path: small, raw: `${small}.raw` }, large: sixParts(folder, 'large') };
for (const [Key, { path }] of Object.entries(disks)) {
  await client.send(new PutObjectCommand({ Bucket: images, Key, Body: readFileSync(path) }));
}
/** Whole objects for one of each disk; for the others the CRC-32 that the store keeps of what it has. */
const proven = new Map<string, string | undefined>();
async function compare(Key: string, disk: keyof typeof disks): Promise<void> {
  const { ChecksumCRC32 } = await client.send(new HeadObjectCommand({ Bucket: raw, Key, ChecksumMode: 'ENABLED' }));
  if (!proven.has(disk)) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: raw, Key }));
    const bytes = await Body?.transformToByteArray();
    if (!readFileSync(disks[disk].raw).equals(bytes ?? new Uint8Array())) wrong.push(`${Key} has other bytes`);
    proven.set(disk, ChecksumCRC32);
  }
  if (ChecksumCRC32 === undefined || proven.get(disk) !== ChecksumCRC32) wrong.push(`${Key} has another CRC-32`);
}

const before = process.memoryUsage().rss;

started = performance.now();
const jobs = Array.from({ length: CONVERSIONS }, (_, i) => {
  const disk = i % IN_PARTS === 0 ? 'large' : 'small';
  const [name, key] = [`job-${i}`, `raw-${i}`];
  stack.stepFunctions.start(name, { source: { bucket: images, key: disk }, destination: { bucket: raw, key } });
  return { name, key, disk } as const;
});
for (const { name, key, disk } of jobs) {
  const { status, error } = await stack.stepFunctions.wait(name);
  if (status !== 'SUCCEEDED') wrong.push(`${name} ${status}: ${error}`);
  else await compare(key, disk);
}
const peaks = { conversions: peak };

const ask = async (): Promise<{ readonly status: number; readonly took: number }> => {
  const asked = performance.now();
  const answer = await fetch(`${stack.apiEndpoint}/images/${images}/large`);
  const { 'virtual-size': size } = (await answer.json()) as { 'virtual-size'?: number };
  if (answer.status === 200 ? size !== 26 * MiB : ![429, 503].includes(answer.status))
    wrong.push(`GET ${answer.status}`);
  return { status: answer.status, took: performance.now() - asked };
};
peak = 0;
const answers = await pMap(Array(QUESTIONS).keys(), ask, { concurrency: AT_ONCE });
clearInterval(watch);
if (Math.max(peak, peaks.conversions) > MEMORY) wrong.push('more memory than its bound');

const at = (times: readonly number[], share: number) => {
  const sorted = times.toSorted((a, b) => a - b);
  return `${Math.round(sorted[Math.ceil(sorted.length * share) - 1] ?? 0)} ms`;
};
const mebi = (bytes: number) => `${Math.round(bytes / MiB)} MiB`;
const took = answers.map((each) => each.took);
const refused = answers.filter(({ status }) => status !== 200).length;
const lines = table(
  ['', 'lost or wrong', '429 or 503', 'p50', 'p99', 'memory at most'],
  [
    [
      `${CONVERSIONS} conversions started at once, ${CONVERSIONS / IN_PARTS} of them in parts`,
      wrong.filter((each) => !each.startsWith('GET')).length,
      '–',
      at(ends, 0.5),
      at(ends, 0.99),
      mebi(peaks.conversions),
    ],
    [
      `${QUESTIONS} metadata requests, ${AT_ONCE} in flight`,
      wrong.filter((each) => each.startsWith('GET')).length,
      refused,
      at(took, 0.5),
      at(took, 0.99),
      mebi(peak),
    ],
  ],
);
process.stdout.write(`${lines.join('\n')}\nmemory before: ${mebi(before)}\n${wrong.slice(0, 20).join('\n')}\n`);
await stack.close();
client.destroy();
rmSync(folder, { recursive: true });
if (wrong.length === 0) await report('load', lines);
process.exitCode = wrong.length === 0 ? 0 : 1;
