import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { KiB } from '../../lib/units.ts';
import { ask, post, servedBy } from '../http/ask.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { FEATURE_RECIPES, RECIPES, type Recipe, type Recipes } from '../recipes.ts';
import { useQemu } from '../support/use-qemu.ts';

const secrets = await mkdtemp(join(tmpdir(), 'unqcow-secrets-'));
const pipeline = usePipeline({ secrets: { dir: secrets } });
const qemu = useQemu();
afterAll(() => rm(secrets, { recursive: true }));

/** What is read of a file at a time. */
const BLOCK = 64 * KiB;
const ALL: Recipes = { ...RECIPES, ...FEATURE_RECIPES };

async function linkTo(key: string, path: string): Promise<string> {
  await pipeline.put(path, key);
  const source = { bucket: pipeline.stack.buckets.images, key };
  const { body } = await ask(pipeline, '/views', post({ source }));
  return body.url;
}

describe('random ranges of a raw disk over HTTP', () => {
  it.each(['compressed-among-plain', 'fragmented-small-clusters', 'zstd-rewritten', 'extl2-file-ends-mid-cluster'])(
    '%s: 600 of them are the bytes of qemu-img convert, and no byte of the image is read twice for them',
    async (name) => {
      const path = await qemu.made(name, ALL[name] as Recipe);
      const raw = await readFile(await qemu.raw(path));
      const url = await linkTo(`${name}.img`, path);
      const range = fc
        .tuple(fc.nat(raw.length - 1), fc.oneof(fc.nat(600), fc.nat(200 * KiB)))
        .map(([first, more]) => ({ first, last: Math.min(first + more, raw.length - 1) }));
      const before = servedBy(pipeline);
      await fc.assert(
        fc.asyncProperty(range, async ({ first, last }) => {
          const answer = await fetch(url, { headers: { range: `bytes=${first}-${last}` } });
          expect(answer.status).toBe(206);
          expect(raw.subarray(first, last + 1).equals(Buffer.from(await answer.arrayBuffer()))).toBe(true);
        }),
        { numRuns: 600 },
      );
      const after = servedBy(pipeline);
      const { size } = await stat(path);
      // Opening reads the header’s block and the tables, which are read again through the cache.
      expect(after.bytes - before.bytes).toBeLessThanOrEqual(size + Math.min(size, 4 * BLOCK));
      expect(after.requests - before.requests).toBeLessThanOrEqual(Math.ceil(size / BLOCK) + 4);
    },
    120_000,
  );

  it('cost one request for each of L2 table and data that was not read before, and none again', async () => {
    const path = await qemu.image('second-l2-table');
    const raw = await qemu.raw(path);
    const url = await linkTo('cost.img', path);
    const costOf = async (first: number) => {
      const before = servedBy(pipeline).requests;
      const answer = await fetch(url, { headers: { range: `bytes=${first}-${first + 511}` } });
      expect((await answer.arrayBuffer()).byteLength).toBe(512);
      return servedBy(pipeline).requests - before;
    };
    expect((await stat(raw)).size).toBe(600 << 20);
    await costOf(0);
    const costs: number[] = [];
    for (const at of [511 << 20, (511 << 20) + 512, 599 << 20, 599 << 20, 100 << 20]) costs.push(await costOf(at));
    expect(costs).toEqual([1, 0, 2, 0, 0]);
  });
});
