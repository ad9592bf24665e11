import { readdir } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HandlerWorld, openHandlerWorld } from '../support/handler-world.ts';
import { damaged, damageTo } from './damage.ts';
import { readCorpus } from './parsers/corpus.ts';
import { Coverage } from './parsers/coverage.ts';
import { Explorer } from './parsers/explorer.ts';
import { FORMAT_TARGETS } from './parsers/format-targets.ts';
import { handlerTargets } from './parsers/handler-targets.ts';

import { dice, mutatedBytes } from './parsers/mutate-bytes.ts';
import type { Target } from './parsers/target.ts';
import { TEXT_TARGETS } from './parsers/text-targets.ts';

/** What was found once is tried again, then what chance brings. */
async function tried(target: Target, count: number): Promise<void> {
  const known = [...target.seeds, ...(await readCorpus(target.name))];
  for (const input of known) await target.run(input);
  const roll = dice(1);
  for (let i = 0; i < count; i += 1) {
    const [one, other] = [known[roll(known.length)], known[roll(known.length)]] as [Uint8Array, Uint8Array];
    await target.run(mutatedBytes(one, other, roll, 65_536));
  }
}

describe('whatever the bytes, there is an answer or one of our refusals', () => {
  it.each(FORMAT_TARGETS.map((target) => [target.name, target] as const))('of %s', async (_, target) => {
    await tried(target, 150);
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), (bytes) => target.run(bytes));
    await fc.assert(property, { numRuns: 50 });
  });

  it.each(TEXT_TARGETS.map((target) => [target.name, target] as const))('of %s', async (_, target) => {
    await tried(target, 150);
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), (bytes) => target.run(bytes));
    await fc.assert(property, { numRuns: 50 });
  });

  it('of an image that is damaged where it hurts', async () => {
    const [image, disk] = FORMAT_TARGETS as [Target, Target];
    for (const bytes of image.seeds) {
      const good = Buffer.from(bytes);
      const check = async (bad: Buffer) => {
        await image.run(bad);
        await disk.run(bad);
      };
      const damage = damageTo(good).map((each) => damaged(good, each));
      await fc.assert(fc.asyncProperty(damage, check), { numRuns: 50 });
    }
  });
});

describe('whatever the event, a function answers or refuses, and asks nothing of S3 that it may not', () => {
  let world: HandlerWorld;
  beforeAll(async () => {
    world = await openHandlerWorld();
  });
  afterAll(() => world.close());

  it('of every function that there is', async () => {
    const targets = await handlerTargets(world);
    for (const target of targets) await tried(target, 15);
    const functions = (await readdir('functions')).filter((name) => name.endsWith('.ts'));
    expect(targets.map(({ name }) => `${name}.ts`).toSorted()).toEqual(functions.toSorted());
  });
});

describe('the explorer', () => {
  it('finds the way into code that chance would not find, and the defect there', async () => {
    const coverage = new Coverage(/explorer-prey/);
    const { prey } = await import('./parsers/explorer-prey.ts');
    await coverage.start();
    const explorer = new Explorer(prey, [], coverage, dice(2));
    await explorer.begin();
    for (let i = 0; i < 300 && explorer.findings.length === 0; i += 1) await explorer.step(() => undefined);
    coverage.stop();
    expect(explorer.findings[0]?.error.message).toBe('found');
    expect(explorer.found.length).toBeGreaterThan(1);
  });
});
