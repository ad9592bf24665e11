import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Services, StackOptions } from '../../infra/local/stack.ts';
import type { LocalFunction } from '../../infra/local/step-functions/server.ts';
import type { ConversionResult } from '../../lib/jobs/conversion.ts';
import { PLAN_LIMITS } from '../../lib/plan/s3-limits.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { STACK, usePipeline } from '../pipeline/use-pipeline.ts';
import type { Lambda } from './support/lambda.ts';
import { BUCKETS, lambdaOf, STATE_MACHINE } from './support/world.ts';

const lambdas: Lambda[] = [];
const used = (name: string) => lambdas.filter(({ configuration }) => configuration.name === name);

/** The packaged function of that name in Lambda's own runtime, in the place of the source. */
function packaged(name: string, services: Services): LocalFunction {
  let lambda: Lambda | undefined;
  return async (payload) => {
    if (!lambda) {
      // Step Functions' endpoint is known only once all functions are.
      lambda = lambdaOf(name, services);
      lambdas.push(lambda);
    }
    return lambda.call(payload);
  };
}

/** A function URL streams its answer, which this Runtime API does not take. */
const NOT_HERE = ['view-disk'];
const lambda: StackOptions['lambda'] = (name, create, services) =>
  NOT_HERE.includes(name) ? create() : packaged(name, services);

afterAll(() => {
  for (const each of lambdas) each.close();
});

// The pipeline's own test, from upload event to raw object and refusal, over the bundles instead of the sources.
STACK.options = { buckets: BUCKETS, config: { stateMachineArn: STATE_MACHINE }, lambda };
await import('../pipeline/pipeline.test.ts');

describe('a disk that compresses to half of itself', () => {
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-packaged-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const pipeline = usePipeline();

  /** Each cluster half noise, half zeros: as much to read, to inflate and to write as a real disk has. */
  function compressed(name: string, size: number, type: 'zlib' | 'zstd') {
    const raw = join(folder, `${name}.raw`);
    const file = openSync(raw, 'w');
    const cluster = Buffer.alloc(64 * KiB);
    for (let at = 0; at < size; at += cluster.length)
      writeSync(file, randomFillSync(cluster, 0, 32 * KiB), 0, cluster.length, at);
    closeSync(file);
    const path = join(folder, name);
    execFileSync('qemu-img', ['convert', '-c', '-W', '-O', 'qcow2', '-o', `compression_type=${type}`, raw, path]);
    return { path, raw };
  }

  async function becomes(name: string, { path, raw }: ReturnType<typeof compressed>): Promise<ConversionResult> {
    const ended = await pipeline.upload(path, name);
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { proven: true } });
    expect(await pipeline.difference(`${name}.raw`, raw)).toBeUndefined();
    return ended.output as ConversionResult;
  }

  it('is made by convert-whole, as large as it may be for that', async () => {
    const result = await becomes('whole.qcow2', compressed('whole.qcow2', PLAN_LIMITS.wholeDisk, 'zlib'));
    expect(result).not.toHaveProperty('parts');
  });

  it('is made by convert-part, in parts of 64 MiB', async () => {
    const result = await becomes('parts.qcow2', compressed('parts.qcow2', 5 * PLAN_LIMITS.dataPart, 'zlib'));
    expect(result.parts).toEqual({ data: 5, zero: 0, copy: 0 });
  });
});

describe('the functions of all those conversions', () => {
  const WORKERS = ['plan', 'convert-whole', 'convert-part', 'complete', 'on-upload', 'sweep'];

  it.each(WORKERS)('have %s, and its memory sufficed', (name) => {
    expect(used(name)).not.toEqual([]);
    const [{ configuration }] = used(name) as [Lambda];
    const peak = Math.max(...used(name).map((each) => each.peak));
    process.stdout.write(`${name}: ${Math.round(peak / MiB)} of ${configuration.memory} MiB\n`);
    expect(peak).toBeGreaterThan(0);
    expect(peak).toBeLessThan(configuration.memory * MiB);
  });
});
