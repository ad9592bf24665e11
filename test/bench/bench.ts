/**
 * Measures unqcow against what people use today, on this machine, and writes the tables of docs/performance.md.
 *
 *     npm run bench -- [--quick] [--only files,ceph,local,decompression] [--images plain,deflate,…] [--runs N]
 *
 * Ratios of runs that followed one another, and their medians: what else the machine does meanwhile falls on both.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { betweenFiles } from './between-files.ts';
import type { BenchStore } from './contenders.ts';
import { IMAGE_NAMES, type ImageName, makeCorpus } from './corpus.ts';
import { decompression } from './decompression.ts';
import { inStore, type StoreRow } from './in-stores.ts';
import { decompressionTable, fileTable, storeTable } from './tables.ts';
import { writeSection } from './write-section.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: 'files,decompression,local,ceph' },
    images: { type: 'string' },
    runs: { type: 'string' },
  },
});

const note = (line: string) => process.stderr.write(`${line}\n`);
const sections = flags.only.split(',');
const images = (flags.images?.split(',') ?? (flags.quick ? ['deflate'] : IMAGE_NAMES)) as ImageName[];
const runs = Number(flags.runs ?? (flags.quick ? 2 : 5));
const corpusDir = process.env.UNQCOW_BENCH_DIR ?? join(tmpdir(), 'unqcow-bench');

note(`images in ${corpusDir}`);
const corpus = await makeCorpus(corpusDir, [...new Set([...images, 'deflate', 'zstd'] as const)]);
const scratch = await mkdtemp(join(corpusDir, 'scratch-'));
try {
  const common = { corpus, images, runs, scratch, note };
  const asSection = (name: string) => (rows: readonly StoreRow[]) => writeSection(name, storeTable(rows, runs));
  if (sections.includes('decompression'))
    await writeSection('decompression', decompressionTable(await decompression(corpus, runs)));
  if (sections.includes('files')) await writeSection('files', fileTable(await betweenFiles(common), runs));
  if (sections.includes('local'))
    await withLocalS3((store) => inStore({ ...common, store, onRow: asSection('local') }));
  const ceph = cephOfThisRun();
  if (sections.includes('ceph')) {
    if (ceph) await inStore({ ...common, store: ceph, onRow: asSection('ceph') });
    else note('no Ceph: start this by `npm run bench`');
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}

/** The gateway that test/support/ceph.sh started. */
function cephOfThisRun(): BenchStore | undefined {
  const { UNQCOW_TEST_S3_ENDPOINT: endpoint, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
  if (!endpoint || !AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) return undefined;
  return { name: 'Ceph', endpoint, accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY };
}

/** Our own S3, in a process of its own. */
async function withLocalS3(work: (store: BenchStore) => Promise<unknown>): Promise<void> {
  const credentials = { accessKeyId: 'LOCALACCESSKEY', secretAccessKey: 'local/secret+key' };
  const dir = join(scratch, 's3');
  await mkdir(dir);
  const serve = fileURLToPath(new URL('../s3/support/serve.ts', import.meta.url));
  const server = spawn(process.execPath, [serve, dir, credentials.accessKeyId, credentials.secretAccessKey]);
  try {
    const [line] = await once(server.stdout, 'data');
    await work({ name: 'local S3', endpoint: String(line).trim(), ...credentials });
  } finally {
    server.kill();
    await once(server, 'exit');
    await rm(dir, { recursive: true, force: true });
  }
}
