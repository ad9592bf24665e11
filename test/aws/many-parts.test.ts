import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalFunction } from '../../infra/local/step-functions/server.ts';
import { DATA_LIMIT } from '../../infra/local/step-functions/state-error.ts';
import type { ConversionResult } from '../../lib/jobs/conversion.ts';
import { PLAN_LIMITS, S3_LIMITS } from '../../lib/plan/s3-limits.ts';
import { openFile } from '../../lib/source/file.ts';
import { openS3 } from '../../lib/source/s3.ts';
import { KiB, MiB, TiB } from '../../lib/units.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';

/** Bytes of JSON that a function was given or answered with, at most. */
let largest = 0;
const sizeOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value) ?? '');
const weighed =
  (run: LocalFunction): LocalFunction =>
  async (payload, context) => {
    const answer = await run(payload, context);
    largest = Math.max(largest, sizeOf(payload), sizeOf(answer));
    return answer;
  };

const states: string[] = [];

/** Zeros, in parts of 512 MiB; three clusters of data among them, the second compressed, and a run that is copied. */
const DISK = 9_996 * PLAN_LIMITS.maxCopyPart;
const DATA = [0, TiB + 192 * KiB, DISK - 64 * KiB];
const COPIED = { start: 3 * TiB, end: 3 * TiB + 64 * MiB };

describe('a disk of 4.9 TiB, which takes all the parts that an upload may have', () => {
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-many-parts-'));
  const path = join(folder, 'huge.qcow2');
  afterAll(() => rmSync(folder, { recursive: true }));
  const store = join(folder, 'store');
  const pipeline = usePipeline({
    store: { dir: store },
    lambda: (_name, create) => weighed(create()),
    onEvent: (event) => {
      if (event.type === 'state') states.push(event.state);
    },
  });
  let ended: Awaited<ReturnType<typeof pipeline.upload>>;

  beforeAll(async () => {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(DISK)]);
    const writes = DATA.flatMap((at, i) => ['-c', `write ${i === 1 ? '-c' : ''} -P ${i + 1} ${at} 64k`]);
    execFileSync('qemu-io', [...writes, '-c', `write -P 9 ${COPIED.start} ${COPIED.end - COPIED.start}`, path]);
    execFileSync('qemu-img', ['convert', '-O', 'raw', path, `${path}.raw`]);
    ended = await pipeline.upload(path, 'huge.qcow2');
  });

  it('is converted in 10,000 parts, nearly all of them copies of zeros', () => {
    expect(ended, ended.cause).toMatchObject({ status: 'SUCCEEDED', output: { size: DISK, proven: true } });
    expect((ended.output as ConversionResult).parts).toEqual({ data: 3, zero: S3_LIMITS.maxParts - 4, copy: 1 });
  });

  it('has qemu-img’s bytes where there are any, and zeros around them', async () => {
    const { bucket, key } = (ended.output as ConversionResult).destination;
    const made = await openS3(pipeline.stores.reader, { bucket, key });
    const expected = await openFile(`${path}.raw`);
    expect(made.size).toBe(expected.size);
    for (const at of [...DATA, COPIED.start, COPIED.end]) {
      const range = { start: Math.max(0, at - 8 * MiB), end: Math.min(DISK, at + 8 * MiB) };
      const [ours, theirs] = await Promise.all([made.read(range), expected.read(range)]);
      expect(Buffer.compare(ours, theirs), `around ${at}`).toBe(0);
    }
    await expected.close();
  });

  it('passes no state more than Step Functions takes, and has a history of the few states that it went through', () => {
    expect(largest).toBeGreaterThan(0);
    expect(largest).toBeLessThan(DATA_LIMIT);
    expect(states).toEqual(['Plan', 'Small?', 'ConvertParts', 'Complete', 'Keys?', 'Explained?', 'Done']);
  });

  it('lies in the local S3 as sparse as it is', async () => {
    const { bucket, key } = (ended.output as ConversionResult).destination;
    expect((await openS3(pipeline.stores.reader, { bucket, key })).size).toBe(DISK);
    // Of all objects together: the image, its copy's bytes only once, no zeros, and the manifests of 10,000 parts.
    const files = await readdir(store, { recursive: true, withFileTypes: true });
    const stats = await Promise.all(files.map(({ parentPath, name }) => stat(join(parentPath, name))));
    const onDisk = stats.reduce((sum, { blocks }) => sum + blocks * 512, 0);
    expect(onDisk).toBeGreaterThan(COPIED.end - COPIED.start);
    expect(onDisk).toBeLessThan(4 * (COPIED.end - COPIED.start));
  });

  it('leaves no upload open', async () => {
    expect(await pipeline.openUploads()).toEqual([]);
  });
});
