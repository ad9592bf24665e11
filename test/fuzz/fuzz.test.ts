import { expect, it } from 'vitest';
import { campaign } from './campaign.ts';
import { caseOf } from './cases.ts';
import { SEEDS } from './seeds.ts';

/** Quickly made, and one of each kind; `npm run fuzz` takes all there are. */
const SOME = [
  'bytes v1',
  'bytes v2',
  'bytes v3',
  'plain compressed-small-clusters',
  'plain fragmented-small-clusters',
  'feature extl2-many-l2-tables',
  'feature bitmaps-small-clusters',
  'chain raw-of-1000',
  'data file raw-off-4k',
];

it('makes of damaged images what qemu-img makes of them, or refuses them for a reason', async () => {
  const { outcomes, findings } = await campaign({ seed: 7, count: 60, seeds: SOME });
  expect(findings).toEqual([]);
  // Damage that always refused, or never did, would show nothing.
  expect(outcomes.get('equal')).toBeGreaterThan(15);
  expect(outcomes.get('refused by both')).toBeGreaterThan(15);
  expect(outcomes.get('refused by us')).toBeGreaterThan(0);
});

it('makes the same case of the same number each time', async () => {
  const first = await caseOf(3, 14, SOME);
  expect(await caseOf(3, 14, SOME)).toEqual(first);
  expect(await caseOf(4, 14, SOME)).not.toEqual(first);
  expect(Object.keys(SEEDS)).toEqual(expect.arrayContaining(SOME));
});
