import type { Target } from './target.ts';

/** A defect behind three conditions: one input in sixteen million meets them all, but each is noticed when it is met. */
export const prey: Target = {
  name: 'prey',
  seeds: [Buffer.from('aaa')],
  async run([first, second, third]) {
    if (first !== 0x62) return;
    if (second !== 0x75) return;
    if (third === 0x67) throw new Error('found');
  },
};
