import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cached } from '../../lib/source/cached.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { held, nextTurn } from './support/held.ts';
import { recorded } from './support/recorded.ts';
import { someRanges, WORLD } from './support/tiny-world.ts';

/** 60 bytes are seven blocks of 8 and one of 4. */
const BLOCKS = { blockSize: 8, maxBytes: 64 };
const open = (limits = BLOCKS) => {
  const inner = recorded(memorySource(WORLD));
  return { inner, source: cached(inner, limits) };
};

describe('a read through the cache', () => {
  it('is widened to whole blocks', async () => {
    const { inner, source } = open();
    expect(await source.read({ start: 10, end: 11 })).toEqual(WORLD.slice(10, 11));
    expect(inner.requests).toEqual([{ start: 8, end: 16 }]);
  });

  it('of blocks that are there is free', async () => {
    const { inner, source } = open();
    await source.read({ start: 8, end: 24 });
    await source.read({ start: 9, end: 23 });
    await source.read({ start: 16, end: 17 });
    expect(inner.requests).toEqual([{ start: 8, end: 24 }]);
  });

  it('fetches neighbouring blocks by one request, and only those that are missing', async () => {
    const { inner, source } = open();
    await source.read({ start: 16, end: 24 });
    expect(await source.read({ start: 1, end: 47 })).toEqual(WORLD.slice(1, 47));
    expect(inner.requests.slice(1)).toEqual([
      { start: 0, end: 16 },
      { start: 24, end: 48 },
    ]);
  });

  it('ends with the source, in the middle of a block', async () => {
    const { inner, source } = open();
    expect(await source.read({ start: 58, end: 60 })).toEqual(WORLD.slice(58, 60));
    expect(await source.read({ start: 56, end: 60 })).toEqual(WORLD.slice(56, 60));
    expect(inner.requests).toEqual([{ start: 56, end: 60 }]);
  });

  it('of a source that is smaller than a block is one request for all of it', async () => {
    const inner = recorded(memorySource(WORLD.subarray(0, 5)));
    const source = cached(inner);
    expect(await source.read({ start: 4, end: 5 })).toEqual(WORLD.slice(4, 5));
    expect(await source.read({ start: 0, end: 5 })).toEqual(WORLD.slice(0, 5));
    expect(inner.requests).toEqual([{ start: 0, end: 5 }]);
  });

  it('gives an array of its own: what a caller does to it, others do not see', async () => {
    const { source } = open();
    (await source.read({ start: 0, end: 8 })).fill(0);
    expect(await source.read({ start: 0, end: 8 })).toEqual(WORLD.slice(0, 8));
  });
});

describe('callers that want the same block at once', () => {
  it('share one request', async () => {
    const { inner, source } = open();
    const reads = await Promise.all([
      source.read({ start: 0, end: 4 }),
      source.read({ start: 4, end: 12 }),
      source.read({ start: 0, end: 16 }),
    ]);
    expect(reads).toEqual([WORLD.slice(0, 4), WORLD.slice(4, 12), WORLD.slice(0, 16)]);
    expect(inner.requests).toEqual([
      { start: 0, end: 8 },
      { start: 8, end: 16 },
    ]);
  });

  it('get it though the one who asked first has left', async () => {
    const inner = held(WORLD);
    const source = cached(inner, BLOCKS);
    const leaver = new AbortController();
    const left = source.read({ start: 0, end: 4 }, { signal: leaver.signal });
    const stays = source.read({ start: 2, end: 6 });
    leaver.abort(new Error('has left'));
    await expect(left).rejects.toBe(leaver.signal.reason);
    inner.requests[0]?.answer();
    expect(await stays).toEqual(WORLD.slice(2, 6));
    expect(inner.requests).toHaveLength(1);
  });

  it('leave no listeners on their signals', async () => {
    const { source } = open();
    const { signal } = new AbortController();
    await Promise.all([source.read({ start: 0, end: 60 }, { signal }), source.read({ start: 3, end: 4 }, { signal })]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('keeps what all of them left behind: it was paid for', async () => {
    const inner = held(WORLD);
    const source = cached(inner, BLOCKS);
    const leaver = new AbortController();
    const left = source.read({ start: 0, end: 4 }, { signal: leaver.signal });
    leaver.abort(new Error('has left'));
    await expect(left).rejects.toBe(leaver.signal.reason);
    inner.requests[0]?.answer();
    await nextTurn();
    expect(await source.read({ start: 0, end: 8 })).toEqual(WORLD.slice(0, 8));
    expect(inner.requests).toHaveLength(1);
  });
});

describe('a failure', () => {
  it('reaches all who wait for the block, and is forgotten', async () => {
    const inner = held(WORLD);
    const source = cached(inner, BLOCKS);
    const reads = [source.read({ start: 0, end: 4 }), source.read({ start: 4, end: 12 })];
    inner.requests[0]?.fail('503');
    inner.requests[1]?.answer();
    expect(await Promise.allSettled(reads)).toMatchObject([{ reason: '503' }, { reason: '503' }]);
    const again = source.read({ start: 0, end: 16 });
    expect(inner.requests.slice(2)).toMatchObject([{ start: 0, end: 8 }]);
    inner.requests[2]?.answer();
    expect(await again).toEqual(WORLD.slice(0, 16));
  });

  it('is forgotten before anybody hears of it: whoever asks again at once asks the source', async () => {
    const inner = held(WORLD);
    const source = cached(inner, BLOCKS);
    const insisting = source.read({ start: 0, end: 16 }).catch(() => source.read({ start: 0, end: 16 }));
    inner.requests[0]?.fail('503');
    await nextTurn();
    inner.requests[1]?.answer();
    expect(await insisting).toEqual(WORLD.slice(0, 16));
  });

  it('that nobody waits for any more harms nobody', async () => {
    const inner = held(WORLD);
    const leaver = new AbortController();
    const left = cached(inner, BLOCKS).read({ start: 0, end: 24 }, { signal: leaver.signal });
    leaver.abort(new Error('has left'));
    await expect(left).rejects.toBe(leaver.signal.reason);
    inner.requests[0]?.fail('503');
    await nextTurn(); // an unhandled rejection would end the run
  });
});

describe('what is kept', () => {
  it('are copies of the blocks: one of them does not hold the whole request that it came with', async () => {
    const answers: Uint8Array[] = [];
    const inner = memorySource(WORLD);
    const read = async ({ start, end }: { start: number; end: number }) => {
      answers.push(WORLD.slice(start, end));
      return answers.at(-1) as Uint8Array;
    };
    const source = cached({ ...inner, read }, BLOCKS);
    await source.read({ start: 0, end: 32 });
    answers[0]?.fill(0);
    expect(await source.read({ start: 8, end: 16 })).toEqual(WORLD.slice(8, 16));
  });

  it('is at most maxBytes; the block that was longest not used goes first', async () => {
    const { inner, source } = open({ blockSize: 8, maxBytes: 24 });
    for (const start of [0, 8, 16]) await source.read({ start, end: start + 8 });
    await source.read({ start: 0, end: 8 });
    await source.read({ start: 24, end: 32 }); // the fourth: 8–16 goes
    inner.requests.length = 0;
    for (const start of [0, 16, 24]) await source.read({ start, end: start + 8 });
    expect(inner.requests).toEqual([]);
    await source.read({ start: 8, end: 16 });
    expect(inner.requests).toEqual([{ start: 8, end: 16 }]);
  });

  it('is nothing where a block is larger than that: every read is a request', async () => {
    const { inner, source } = open({ blockSize: 8, maxBytes: 7 });
    expect(await source.read({ start: 0, end: 20 })).toEqual(WORLD.slice(0, 20));
    expect(await source.read({ start: 0, end: 20 })).toEqual(WORLD.slice(0, 20));
    expect(inner.requests).toHaveLength(2);
  });
});

it('whatever is read in whatever order, the bytes are the source’s, and none of a block is fetched twice at once', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(someRanges, { maxLength: 4 }),
      fc.record({ blockSize: fc.integer({ min: 1, max: 20 }), maxBytes: fc.integer({ min: 1, max: 80 }) }),
      async (rounds, limits) => {
        const { inner, source } = open(limits);
        for (const ranges of rounds) {
          inner.requests.length = 0;
          const reads = await Promise.all(ranges.map((range) => source.read(range)));
          expect(reads).toEqual(ranges.map(({ start, end }) => WORLD.slice(start, end)));
          const blocks = inner.requests.flatMap(({ start, end }) => {
            expect(start % limits.blockSize).toBe(0);
            return Array.from(
              { length: Math.ceil((end - start) / limits.blockSize) },
              (_, i) => start / limits.blockSize + i,
            );
          });
          expect(new Set(blocks).size).toBe(blocks.length);
        }
      },
    ),
    { numRuns: 300 },
  ));
