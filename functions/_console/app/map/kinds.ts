import type { MapEntry } from '../answers.ts';

/** What a stretch of disk is made of, and the custom property that has its colour. */
export const KINDS = [
  { name: 'data', colour: '--data', means: 'stored plainly in the image' },
  { name: 'compressed', colour: '--compressed', means: 'stored compressed in the image' },
  { name: 'backing 1', colour: '--backing-1', means: 'data of the backing file' },
  { name: 'backing 2', colour: '--backing-2', means: 'data of the backing file’s backing file' },
  { name: 'backing 3+', colour: '--backing-3', means: 'data from further down the chain' },
  { name: 'zero', colour: '--zero', means: 'said to be zeros' },
  { name: 'hole', colour: '--hole', means: 'not allocated anywhere: reads as zeros' },
] as const;

const [COMPRESSED, BACKING] = [1, 2] as const;
export const [DATA, ZERO, HOLE] = [0, 5, 6] as const;
/** In host order: what no stretch of this disk lies in. */
export const FREE_MEANS = 'tables, snapshots, compressed or free';

export function kindOf({ depth, present, zero, compressed }: MapEntry): number {
  if (!present) return HOLE;
  if (zero) return ZERO;
  if (depth > 0) return BACKING + Math.min(depth, 3) - 1;
  return compressed ? COMPRESSED : DATA;
}
