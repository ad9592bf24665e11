import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coalesced } from '../../lib/source/coalesced.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { held, nextTurn } from './support/held.ts';
import { recorded } from './support/recorded.ts';
import { someLimits, someRanges, WORLD } from './support/tiny-world.ts';

const LIMITS = { maxGap: 4, maxLength: 16 };
const open = (limits = LIMITS) => {
  const inner = recorded(memorySource(WORLD));
  return { inner, source: coalesced(inner, limits) };
};

describe('reads that are asked for at the same moment', () => {
  it('become one request where the gap between them is short', async () => {
    const { inner, source } = open();
    const [right, left] = await Promise.all([source.read({ start: 10, end: 13 }), source.read({ start: 2, end: 6 })]);
    expect(inner.requests).toEqual([{ start: 2, end: 13 }]);
    expect([...left]).toEqual([3, 4, 5, 6]);
    expect([...right]).toEqual([11, 12, 13]);
  });

  it('stay apart where the gap is longer than maxGap', async () => {
    const { inner, source } = open();
    await Promise.all([source.read({ start: 0, end: 4 }), source.read({ start: 9, end: 10 })]);
    expect(inner.requests).toEqual([
      { start: 0, end: 4 },
      { start: 9, end: 10 },
    ]);
  });

  it('stay apart where the request would be longer than maxLength', async () => {
    const { inner, source } = open();
    await Promise.all([source.read({ start: 0, end: 8 }), source.read({ start: 8, end: 17 })]);
    expect(inner.requests).toEqual([
      { start: 0, end: 8 },
      { start: 8, end: 17 },
    ]);
  });

  it('of the same bytes are one request, and so are those that overlap', async () => {
    const { inner, source } = open();
    const into = new Uint8Array(4);
    const reads = await Promise.all([
      source.read({ start: 20, end: 28 }),
      source.read({ start: 20, end: 28 }),
      source.read({ start: 24, end: 32 }),
      source.read({ start: 25, end: 29 }, { into }),
    ]);
    expect(inner.requests).toEqual([{ start: 20, end: 32 }]);
    expect(reads.map((read) => [...read])).toEqual([
      [...WORLD.subarray(20, 28)],
      [...WORLD.subarray(20, 28)],
      [...WORLD.subarray(24, 32)],
      [...WORLD.subarray(25, 29)],
    ]);
    expect(reads[3]).toBe(into);
  });

  it('go on to the source as they are, if there is only one: its array is written to, nothing is copied', async () => {
    const into = new Uint8Array(8);
    const given: (Uint8Array | undefined)[] = [];
    const inner = memorySource(WORLD);
    const read: typeof inner.read = (range, options) => {
      given.push(options?.into);
      return inner.read(range, options);
    };
    const source = coalesced({ ...inner, read }, LIMITS);
    await source.read({ start: 1, end: 9 }, { into });
    expect(given).toEqual([into]);
    expect(given[0]).toBe(into);
  });

  it('are requests of their own at another moment', async () => {
    const { inner, source } = open();
    await source.read({ start: 0, end: 4 });
    await source.read({ start: 4, end: 8 });
    expect(inner.requests).toHaveLength(2);
  });
});

describe('a read longer than maxLength', () => {
  it('is cut into requests that run side by side', async () => {
    const inner = held(WORLD);
    const reading = coalesced(inner, LIMITS).read({ start: 5, end: 45 });
    await nextTurn();
    expect(inner.requests).toMatchObject([
      { start: 5, end: 21 },
      { start: 21, end: 37 },
      { start: 37, end: 45 },
    ]);
    for (const request of inner.requests.toReversed()) request.answer();
    expect(await reading).toEqual(WORLD.slice(5, 45));
  });

  it('of exactly maxLength is one request', async () => {
    const { inner, source } = open();
    await source.read({ start: 3, end: 19 });
    expect(inner.requests).toEqual([{ start: 3, end: 19 }]);
  });

  it('stops its other requests when one fails: its array is the caller’s again', async () => {
    const inner = held(WORLD);
    const failure = new Error('one of three');
    const reading = coalesced(inner, LIMITS).read({ start: 0, end: 48 });
    await nextTurn();
    inner.requests[1]?.fail(failure);
    await expect(reading).rejects.toBe(failure);
    expect([inner.requests[0]?.signal?.aborted, inner.requests[2]?.signal?.aborted]).toEqual([true, true]);
  });

  it('shares what its pieces have in common with others, whom its failure does not concern', async () => {
    const inner = held(WORLD);
    const source = coalesced(inner, LIMITS);
    const long = source.read({ start: 0, end: 40 }).catch(() => 'failed');
    const short = source.read({ start: 34, end: 38 });
    await nextTurn();
    expect(inner.requests).toMatchObject([
      { start: 0, end: 16 },
      { start: 16, end: 32 },
      { start: 32, end: 40 },
    ]);
    inner.requests[0]?.fail(new Error('elsewhere'));
    expect(await long).toBe('failed');
    inner.requests[2]?.answer();
    expect(await short).toEqual(WORLD.slice(34, 38));
  });
});

describe('a caller who leaves', () => {
  it('gets the signal’s reason at once, and the others their bytes', async () => {
    const inner = held(WORLD);
    const source = coalesced(inner, LIMITS);
    const leaver = new AbortController();
    const left = source.read({ start: 0, end: 4 }, { signal: leaver.signal });
    const stays = source.read({ start: 4, end: 8 });
    await nextTurn();
    leaver.abort(new Error('has left'));
    await expect(left).rejects.toBe(leaver.signal.reason);
    expect(inner.requests.map(({ signal }) => signal?.aborted)).toEqual([false]);
    inner.requests[0]?.answer();
    expect(await stays).toEqual(WORLD.slice(4, 8));
  });

  it('has nothing written into the array that was lent, once it has left', async () => {
    const inner = held(WORLD);
    const source = coalesced(inner, LIMITS);
    const leaver = new AbortController();
    const into = new Uint8Array(4);
    const left = source.read({ start: 0, end: 4 }, { signal: leaver.signal, into });
    const stays = source.read({ start: 4, end: 8 });
    await nextTurn();
    leaver.abort();
    await expect(left).rejects.toBe(leaver.signal.reason);
    inner.requests[0]?.answer();
    await stays;
    expect([...into]).toEqual([0, 0, 0, 0]);
  });

  it('stops the request where it was the last to wait for it', async () => {
    const inner = held(WORLD);
    const source = coalesced(inner, LIMITS);
    const [one, other] = [new AbortController(), new AbortController()];
    const reads = [
      source.read({ start: 0, end: 4 }, { signal: one.signal }),
      source.read({ start: 4, end: 8 }, { signal: other.signal }),
    ].map((read) => read.catch((reason: unknown) => reason));
    await nextTurn();
    const [request] = inner.requests;
    one.abort('first');
    expect(request?.signal?.aborted).toBe(false);
    other.abort('second');
    expect(request?.signal?.aborted).toBe(true);
    expect(await Promise.all(reads)).toEqual(['first', 'second']);
  });

  it('before the request is made does not make it longer, nor is there one for it alone', async () => {
    const { inner, source } = open();
    const leaver = new AbortController();
    const left = [
      source.read({ start: 6, end: 10 }, { signal: leaver.signal }),
      source.read({ start: 50, end: 54 }, { signal: leaver.signal }),
    ].map((read) => read.catch((reason: unknown) => reason));
    const stays = source.read({ start: 0, end: 4 });
    leaver.abort('left');
    expect(await Promise.all(left)).toEqual(['left', 'left']);
    expect(await stays).toEqual(WORLD.slice(0, 4));
    expect(inner.requests).toEqual([{ start: 0, end: 4 }]);
  });

  it('of a read longer than maxLength stops all of its requests', async () => {
    const inner = held(WORLD);
    const leaver = new AbortController();
    const left = coalesced(inner, LIMITS).read({ start: 0, end: 48 }, { signal: leaver.signal });
    await nextTurn();
    leaver.abort(new Error('has left'));
    await expect(left).rejects.toBe(leaver.signal.reason);
    expect(inner.requests.map(({ signal }) => signal?.aborted)).toEqual([true, true, true]);
  });

  it('and a caller who does not: no listener stays behind on their signals', async () => {
    const { source } = open();
    const { signal } = new AbortController();
    await Promise.all([source.read({ start: 0, end: 4 }, { signal }), source.read({ start: 0, end: 40 }, { signal })]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('a failure', () => {
  it('reaches all who wait for that request, and nobody else', async () => {
    const inner = held(WORLD);
    const source = coalesced(inner, LIMITS);
    const failure = new Error('503');
    const reads = [
      source.read({ start: 0, end: 4 }),
      source.read({ start: 2, end: 8 }),
      source.read({ start: 40, end: 44 }),
    ].map((read) => read.catch((reason: unknown) => reason));
    await nextTurn();
    inner.requests[0]?.fail(failure);
    inner.requests[1]?.answer();
    expect(await Promise.all(reads)).toEqual([failure, failure, WORLD.slice(40, 44)]);
  });

  it('is not kept: the next read asks again', async () => {
    const inner = held(WORLD);
    const source = coalesced(inner, LIMITS);
    const failed = source.read({ start: 0, end: 4 }).catch((reason: unknown) => reason);
    await nextTurn();
    inner.requests[0]?.fail('503');
    expect(await failed).toBe('503');
    const again = source.read({ start: 0, end: 4 });
    await nextTurn();
    inner.requests[1]?.answer();
    expect(await again).toEqual(WORLD.slice(0, 4));
  });
});

describe('whatever is read at once', () => {
  it('every read gets its bytes, by requests no longer than maxLength', () =>
    fc.assert(
      fc.asyncProperty(someRanges, someLimits, async (ranges, limits) => {
        const { inner, source } = open(limits);
        const reads = await Promise.all(ranges.map((range) => source.read(range)));
        expect(reads).toEqual(ranges.map(({ start, end }) => WORLD.slice(start, end)));
        for (const { start, end } of inner.requests) expect(end - start).toBeLessThanOrEqual(limits.maxLength);
        expect(inner.requests.length).toBeLessThanOrEqual(
          ranges.reduce((sum, { start, end }) => sum + Math.ceil((end - start) / limits.maxLength), 0),
        );
      }),
      { numRuns: 300 },
    ));

  it('whoever leaves gets the reason, whoever stays gets the bytes', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(someRanges, fc.constantFrom('stays', 'before', 'during')), { maxLength: 5 }),
        someLimits,
        async (callers, limits) => {
          const inner = held(WORLD);
          const source = coalesced(inner, limits);
          const going = callers.map(([ranges, leaves]) => {
            const controller = new AbortController();
            const { signal } = controller;
            const reads = ranges.map((range) => source.read(range, { signal }).catch((reason: unknown) => reason));
            return { ranges, leaves, controller, reads };
          });
          for (const { leaves, controller } of going) if (leaves === 'before') controller.abort('left');
          await nextTurn();
          for (const { leaves, controller } of going) if (leaves === 'during') controller.abort('left');
          for (const request of inner.requests) request.answer();
          for (const { ranges, leaves, reads } of going) {
            const expected = ranges.map(({ start, end }) => (leaves === 'stays' ? WORLD.slice(start, end) : 'left'));
            expect(await Promise.all(reads)).toEqual(expected);
          }
        },
      ),
      { numRuns: 200 },
    ));
});
