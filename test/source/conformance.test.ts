import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ByteSource } from '../../lib/source/byte-source.ts';
import { cached } from '../../lib/source/cached.ts';
import { coalesced } from '../../lib/source/coalesced.ts';
import { openFile } from '../../lib/source/file.ts';
import { inFlight } from '../../lib/source/in-flight.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { metered, newMeter } from '../../lib/source/metered.ts';
import { openS3, s3Source } from '../../lib/source/s3.ts';
import { KiB } from '../../lib/units.ts';
import { distinctBytes, useStore } from '../support/store.ts';
import { recorded } from './support/recorded.ts';

/** Long enough for blocks and requests that are whole, and ends in the middle of one. */
const SIZE = 200 * KiB + 3;
const bytes = distinctBytes(SIZE);
const LIMITS = { maxGap: 1 * KiB, maxLength: 24 * KiB };
const BLOCKS = { blockSize: 16 * KiB, maxBytes: 64 * KiB };

const store = useStore();
let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'unqcow-source-'));
  await writeFile(join(dir, 'disk'), bytes);
  await store.s3.put('disk', bytes);
});
afterAll(() => rm(dir, { recursive: true }));

const inMemory = async () => memorySource(bytes);
const s3Location = () => ({ bucket: store.s3.bucket, key: 'disk' });
const inS3WithHead = () => openS3(store.stores.reader, s3Location());
const inS3 = async () => s3Source(store.stores.reader, (await inS3WithHead()).pin);

const SOURCES: readonly (readonly [name: string, open: () => Promise<ByteSource & { close?(): Promise<void> }>])[] = [
  ['memory', inMemory],
  ['file', () => openFile(join(dir, 'disk'))],
  ['s3', inS3],
  ['s3 with its head', inS3WithHead],
  ['metered(memory)', async () => metered(await inMemory(), newMeter())],
  ['coalesced(memory)', async () => coalesced(await inMemory(), LIMITS)],
  ['inFlight(memory)', async () => inFlight(await inMemory(), 2)],
  ['cached(memory)', async () => cached(await inMemory(), BLOCKS)],
  ['cached(coalesced(metered(s3)))', async () => cached(coalesced(metered(await inS3(), newMeter()), LIMITS), BLOCKS)],
];

const anywhere = fc.oneof(fc.nat(SIZE), fc.constantFrom(0, 1, 16 * KiB, 24 * KiB, 64 * KiB, SIZE - 1, SIZE));
const someRange = fc.tuple(anywhere, anywhere).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
const beyond = expect.objectContaining({ code: 'RANGE_BEYOND_SOURCE' });

describe.each(SOURCES)('%s is a ByteSource', (_name, open) => {
  let source: Awaited<ReturnType<typeof open>>;
  beforeAll(async () => {
    source = await open();
  });
  afterAll(() => source.close?.());

  it('knows its size', () => {
    expect(source.size).toBe(SIZE);
  });

  it('reads exactly the bytes of any range', () =>
    fc.assert(
      fc.asyncProperty(someRange, async (range) => {
        expect(bytes.compare(await source.read(range), 0, undefined, range.start, range.end)).toBe(0);
      }),
      { numRuns: 40 },
    ));

  it('reads the whole', async () => {
    expect(bytes.equals(await source.read({ start: 0, end: SIZE }))).toBe(true);
  });

  it.each([0, 1, 64 * KiB, SIZE])('reads nothing at %i', async (at) => {
    expect(await source.read({ start: at, end: at })).toHaveLength(0);
  });

  it.each([
    [100, 200],
    [60 * KiB, 70 * KiB],
    [SIZE - 1, SIZE],
    [0, SIZE],
    [SIZE, SIZE],
  ])('reads %i–%i into an array, which it returns, and writes nothing beside it', async (start, end) => {
    const around = new Uint8Array(end - start + 32).fill(0xee);
    const into = around.subarray(16, around.length - 16);
    expect(await source.read({ start, end }, { into })).toBe(into);
    expect(bytes.compare(into, 0, undefined, start, end)).toBe(0);
    expect([...around.subarray(0, 16), ...around.subarray(-16)]).toEqual(Array(32).fill(0xee));
  });

  it.each([
    ['past the end', { start: SIZE - 1, end: SIZE + 1 }],
    ['past the end of the head', { start: 64 * KiB - 1, end: SIZE + 1 }],
    ['that starts past the end', { start: SIZE + 1, end: SIZE + 1 }],
    ['that starts before 0', { start: -1, end: 10 }],
    ['that ends before it starts', { start: 10, end: 9 }],
    ['of half a byte', { start: 0, end: 0.5 }],
    ['from half a byte', { start: 1.5, end: 3 }],
    ['to nowhere', { start: 0, end: Number.NaN }],
    ['without end', { start: 0, end: Number.POSITIVE_INFINITY }],
  ])('refuses a range %s, rather than cut it short', async (_, range) => {
    const into = new Uint8Array(16);
    await expect(source.read(range, { into })).rejects.toEqual(beyond);
    expect(into).toEqual(new Uint8Array(16));
  });

  it('rejects with the reason of a signal that is aborted already', async () => {
    const signal = AbortSignal.abort(new Error('not wanted'));
    await expect(source.read({ start: 0, end: 10 }, { signal })).rejects.toBe(signal.reason);
    await expect(source.read({ start: 0, end: 0 }, { signal })).rejects.toBe(signal.reason);
    await expect(source.read({ start: 0, end: SIZE }, { signal })).rejects.toBe(signal.reason);
  });

  it('rejects with the reason of a signal that is aborted meanwhile, and the others still get theirs', async () => {
    const leaver = new AbortController();
    const range = { start: 150 * KiB, end: 190 * KiB };
    const reads = [
      source.read(range),
      source.read(range, { signal: leaver.signal }).catch((reason: unknown) => reason),
      source.read(range, { signal: new AbortController().signal }),
    ];
    leaver.abort(new Error('has left'));
    const [first, left, last] = await Promise.all(reads);
    // What is in memory is there before anybody can leave.
    if (!(left instanceof Uint8Array)) expect(left).toBe(leaver.signal.reason);
    for (const got of [first, last])
      expect(bytes.compare(got as Uint8Array, 0, undefined, range.start, range.end)).toBe(0);
  });

  it('reads many ranges at once', async () => {
    const ranges = fc.sample(someRange, { numRuns: 30, seed: 7 });
    const all = await Promise.all(ranges.map((range) => source.read(range)));
    ranges.forEach(({ start, end }, i) => {
      expect(bytes.compare(all[i] as Uint8Array, 0, undefined, start, end)).toBe(0);
    });
  });

  it('has the same id whenever the same bytes are opened', async () => {
    const again = await open();
    expect(again.id).toBe(source.id);
    expect(source.id).not.toBe('');
    await again.close?.();
  });
});

const WRAPPERS: readonly (readonly [name: string, wrap: (inner: ByteSource) => ByteSource])[] = [
  ['metered', (inner) => metered(inner, newMeter())],
  ['inFlight', (inner) => inFlight(inner, 2)],
  ['coalesced', (inner) => coalesced(inner, LIMITS)],
  ['cached', (inner) => cached(inner, BLOCKS)],
];

describe.each(WRAPPERS)('%s', (_name, wrap) => {
  it('has the size and id of what it wraps', () => {
    const inner = memorySource(bytes);
    expect(wrap(inner)).toMatchObject({ size: inner.size, id: inner.id });
  });
});

// The others ask all the same: they count or delay what they are asked.
describe.each(WRAPPERS.slice(2))('%s', (_name, wrap) => {
  it('asks for nothing where it refuses, or where nothing is wanted', async () => {
    const inner = recorded(memorySource(bytes));
    const source = wrap(inner);
    const signal = AbortSignal.abort(new Error('not wanted'));
    await source.read({ start: 5, end: 5 });
    await expect(source.read({ start: 0, end: SIZE + 1 })).rejects.toEqual(beyond);
    await expect(source.read({ start: 0, end: 10 }, { signal })).rejects.toBe(signal.reason);
    expect(inner.requests).toEqual([]);
  });
});

describe('an id', () => {
  it('is another for other bytes', async () => {
    await writeFile(join(dir, 'other'), 'other');
    await store.s3.put('other', 'other');
    const [file, other] = await Promise.all([openFile(join(dir, 'disk')), openFile(join(dir, 'other'))]);
    expect(file.id).not.toBe(other.id);
    await Promise.all([file.close(), other.close()]);
    expect(memorySource(bytes).id).not.toBe(memorySource(bytes.subarray(1)).id);
    const object = await openS3(store.stores.reader, { bucket: store.s3.bucket, key: 'other' });
    expect(object.id).not.toBe((await inS3()).id);
  });
});
