import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Case } from './cases.ts';
import { judge, type Verdict } from './judge.ts';

/** What a worker tells the process that watches it. */
export type Word =
  | { readonly kind: 'phase'; readonly phase: 'ours' | 'theirs' }
  | { readonly kind: 'verdict'; readonly verdict: Verdict; readonly peakBytes: number };

const [, , parent = ''] = process.argv;
const tell = (word: Word) => process.send?.(word);

process.on('message', async (each: Case) => {
  const folder = join(parent, String(each.number));
  await mkdir(folder);
  const verdict = await judge(folder, each, (phase) => tell({ kind: 'phase', phase }));
  tell({ kind: 'verdict', verdict, peakBytes: process.resourceUsage().maxRSS * 1024 });
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit());
