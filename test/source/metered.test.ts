import { describe, expect, it } from 'vitest';
import { coalesced } from '../../lib/source/coalesced.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { metered, newMeter } from '../../lib/source/metered.ts';
import { held } from './support/held.ts';
import { WORLD } from './support/tiny-world.ts';

describe('a meter', () => {
  it('counts reads, and the bytes that came', async () => {
    const meter = newMeter();
    const source = metered(memorySource(WORLD), meter);
    await source.read({ start: 0, end: 10 });
    await source.read({ start: 5, end: 60 }, { into: new Uint8Array(55) });
    expect(meter).toEqual({ requests: 2, bytes: 65 });
  });

  it('counts a read that fails as a request of no bytes', async () => {
    const meter = newMeter();
    const inner = held(WORLD);
    const failed = metered(inner, meter).read({ start: 0, end: 10 });
    inner.requests[0]?.fail('503');
    await expect(failed).rejects.toBe('503');
    expect(meter).toEqual({ requests: 1, bytes: 0 });
  });

  it('innermost counts what is fetched, outermost what is used', async () => {
    const [fetched, used] = [newMeter(), newMeter()];
    const source = metered(coalesced(metered(memorySource(WORLD), fetched), { maxGap: 4, maxLength: 32 }), used);
    await Promise.all([source.read({ start: 0, end: 4 }), source.read({ start: 8, end: 12 })]);
    expect(fetched).toEqual({ requests: 1, bytes: 12 });
    expect(used).toEqual({ requests: 2, bytes: 8 });
  });

  it('may be shared by several sources', async () => {
    const meter = newMeter();
    const sources = [metered(memorySource(WORLD), meter), metered(memorySource(WORLD), meter)];
    await Promise.all(sources.map((source) => source.read({ start: 0, end: 3 })));
    expect(meter).toEqual({ requests: 2, bytes: 6 });
  });
});
