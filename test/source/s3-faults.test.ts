import { getEventListeners } from 'node:events';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Stores } from '../../lib/jobs/stores.ts';
import { newMeter } from '../../lib/source/metered.ts';
import { openS3, type S3Pin, s3Source } from '../../lib/source/s3.ts';
import { readingClient } from '../../lib/source/s3-client.ts';
import { KiB } from '../../lib/units.ts';
import {
  alters,
  answers,
  answersHeaders,
  answersText,
  drips,
  endsAfter,
  type Fault,
  isSilent,
  resets,
  resetsAfter,
  resetsAfterwards,
  stallsAfter,
  useFaultyS3,
} from '../support/faulty-s3.ts';
import { distinctBytes, useStore } from '../support/store.ts';

const bytes = distinctBytes(300 * KiB);
const store = useStore();
const faulty = useFaultyS3(() => store.s3.target.endpoint);

let reader: Stores['reader'];
let pin: S3Pin;
beforeAll(async () => {
  await store.s3.put('disk', bytes);
  reader = store.storesAt(faulty.endpoint).reader;
  pin = (await openS3(store.stores.reader, { bucket: store.s3.bucket, key: 'disk' })).pin;
});

/** Tries three times, hardly pausing. */
const QUICK = { attempts: 3, maxPause: 2 };
/** Gives up on an answer that does not come; long enough for one that does, on a busy machine. */
const IMPATIENT = { ...QUICK, idle: 500 };
const PATIENT = { timeout: 10_000 };
const RANGE = { start: 10_000, end: 210_000 };
const WANTED = bytes.subarray(RANGE.start, RANGE.end);

const read = (options = {}, readOptions = {}) =>
  s3Source(reader, pin, { ...QUICK, ...options }).read(RANGE, readOptions);
const open = (options = {}) => openS3(reader, { bucket: pin.bucket, key: pin.key }, { ...QUICK, ...options });
const withCode = (code: string) => expect.objectContaining({ code });
const changesETag = answersHeaders({ etag: '"another"' });
const ignoresRange = alters(({ headers: { 'content-range': _, ...headers } }) => ({
  status: 200,
  headers: { ...headers, 'content-length': String(bytes.length) },
  body: bytes,
}));
const announcesLess = alters(({ status, headers, body }) => ({
  status,
  headers: { ...headers, 'content-length': '1000' },
  body: body.subarray(0, 1000),
}));
const endsWithoutSayingSo: Fault = { kind: 'cut', after: 200_000, by: 'end', chunked: true };
const sendsMore = alters(({ status, headers: { 'content-length': _, ...headers }, body }) => ({
  status,
  headers,
  body: Buffer.concat([body, Buffer.from('more')]),
}));

const PASSING: readonly (readonly [string, Fault])[] = [
  ['500 InternalError', answers(500, 'InternalError')],
  ['503 SlowDown', answers(503, 'SlowDown')],
  ['429 TooManyRequests', answers(429, 'TooManyRequests')],
  ['408 RequestTimeout', answers(408, 'RequestTimeout')],
  ['502 from a gateway, in HTML', answersText(502, '<html><hr>Bad gateway</html>')],
  ['503 without a body', answersText(503, '')],
  ['200 with something else for a body', answersText(200, 'Welcome to the hotel’s network')],
  ['a connection reset before the answer', resets],
  ['a connection reset when the store has answered', resetsAfterwards],
  ['a connection reset inside the body', resetsAfter(60_000)],
  ['a body that ends too early', endsAfter(60_000)],
  ['a body that ends before it begins', endsAfter(0)],
  ['a shorter body than the range, and says so', announcesLess],
  ['another range than the one asked for', answersHeaders({ 'content-range': 'bytes 1-65536/307200' })],
  ['the whole object instead of the range', ignoresRange],
];

describe('what passes', () => {
  it.each(PASSING)('%s: the read is tried again', async (_, fault) => {
    faulty.next(fault);
    expect(WANTED.equals(await read())).toBe(true);
    expect(faulty.requests).toHaveLength(2);
  });

  it.each(PASSING)('%s, each time: SOURCE_UNAVAILABLE when the attempts are spent', async (_, fault) => {
    faulty.next(fault, fault, fault);
    await expect(read()).rejects.toEqual(withCode('SOURCE_UNAVAILABLE'));
    expect(faulty.requests).toHaveLength(3);
  });

  it.each(PASSING)('%s: opening is tried again', async (_, fault) => {
    faulty.next(fault);
    const source = await open();
    expect(source.pin).toEqual(pin);
    expect(bytes.compare(await source.read({ start: 0, end: 64 * KiB }), 0, undefined, 0, 64 * KiB)).toBe(0);
    expect(faulty.requests).toHaveLength(2);
  });

  it.each([
    ['an answer that does not come', isSilent],
    ['headers without a body', stallsAfter(0)],
    ['a body that stalls', stallsAfter(50_000)],
  ])('%s: given up after the timeout, and tried again', async (_, fault) => {
    faulty.next(fault);
    expect(WANTED.equals(await read(IMPATIENT))).toBe(true);
    expect(faulty.requests[0]?.hungUp).toBe(true);
    faulty.reset();
    faulty.next(fault);
    expect((await open(IMPATIENT)).pin).toEqual(pin);
  });

  it('a slow link: waited for, as long as bytes come', async () => {
    faulty.next(drips(8, 250));
    expect(WANTED.equals(await read({ ...QUICK, idle: 1_500 }))).toBe(true);
    expect(faulty.requests).toHaveLength(1);
  });

  it('a drip: given up after some time, and taken up where it was', async () => {
    faulty.next(drips(100, 50));
    expect(WANTED.equals(await read({ ...QUICK, whole: 1_000 }))).toBe(true);
    const [first, second] = faulty.ranges.map((range) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]));
    expect(first).toBe(RANGE.start);
    expect(second).toBeGreaterThan(RANGE.start);
  });

  it('an answer that never comes: SOURCE_UNAVAILABLE when the attempts are spent', async () => {
    faulty.next(isSilent, stallsAfter(10), isSilent);
    await expect(read(IMPATIENT)).rejects.toEqual(withCode('SOURCE_UNAVAILABLE'));
    expect(faulty.requests).toHaveLength(3);
  });

  it('nobody listening: SOURCE_UNAVAILABLE', async () => {
    const { region, credentials } = store.s3.target;
    const nowhere = readingClient({ endpoint: 'http://127.0.0.1:1', region, credentials, forcePathStyle: true });
    await expect(s3Source(nowhere, pin, QUICK).read(RANGE)).rejects.toEqual(withCode('SOURCE_UNAVAILABLE'));
    nowhere.destroy();
  });

  it('verifying is tried again too', async () => {
    faulty.next(answers(503, 'SlowDown'), resets);
    await s3Source(reader, pin, QUICK).verify();
    expect(faulty.requests.map(({ method }) => method)).toEqual(['HEAD', 'HEAD', 'HEAD']);
  });
});

describe('a body that was cut short', () => {
  it('is taken up again where it ended', async () => {
    faulty.next(endsAfter(100_000), endsAfter(25_000));
    expect(WANTED.equals(await read())).toBe(true);
    expect(faulty.ranges).toEqual(['bytes=10000-209999', 'bytes=110000-209999', 'bytes=135000-209999']);
  });

  it('is taken up under the same ETag', async () => {
    faulty.next(endsAfter(100_000));
    await read();
    expect(faulty.requests.map(({ headers }) => headers['if-match'])).toEqual([pin.etag, pin.etag]);
  });

  it('by a reset is taken up from what came', async () => {
    faulty.next(resetsAfter(100_000));
    expect(WANTED.equals(await read())).toBe(true);
    const from = Number(/^bytes=(\d+)-209999$/.exec(faulty.ranges[1] ?? '')?.[1]);
    expect(from).toBeGreaterThanOrEqual(10_000);
    expect(from).toBeLessThanOrEqual(110_000);
  });

  it('is never made up from another version', async () => {
    faulty.next(endsAfter(100_000), changesETag);
    await expect(read()).rejects.toEqual(withCode('SOURCE_CHANGED'));
    expect(faulty.requests).toHaveLength(2);
  });

  it('counts every attempt, and each byte once', async () => {
    const meter = newMeter();
    faulty.next(endsAfter(100_000), answers(503, 'SlowDown'));
    await read({ meter });
    expect(meter).toEqual({ requests: 3, bytes: 200_000 });
  });

  it('after its last byte has lost nothing', async () => {
    faulty.next(endsWithoutSayingSo);
    expect(WANTED.equals(await read())).toBe(true);
    expect(faulty.requests).toHaveLength(1);
  });

  it('has a counterpart in a body that is too long, which is not trusted', async () => {
    faulty.next(sendsMore, sendsMore, sendsMore);
    await expect(read()).rejects.toEqual(withCode('SOURCE_UNAVAILABLE'));
    expect(faulty.ranges).toEqual(Array(3).fill('bytes=10000-209999'));
  });
});

describe('what does not pass', () => {
  const TERMINAL = [
    ['403 AccessDenied', answers(403, 'AccessDenied'), 'SOURCE_DENIED', 'SOURCE_DENIED'],
    ['403 InvalidObjectState (archived)', answers(403, 'InvalidObjectState'), 'SOURCE_ARCHIVED', 'SOURCE_ARCHIVED'],
    ['400 ExpiredToken', answers(400, 'ExpiredToken'), 'S3_NOT_CONFIGURED', 'S3_NOT_CONFIGURED'],
    ['404 NoSuchKey', answers(404, 'NoSuchKey'), 'SOURCE_NOT_FOUND', 'SOURCE_CHANGED'],
    ['404 NoSuchVersion', answers(404, 'NoSuchVersion'), 'SOURCE_NOT_FOUND', 'SOURCE_CHANGED'],
    ['412 PreconditionFailed', answers(412, 'PreconditionFailed'), 'SOURCE_CHANGED', 'SOURCE_CHANGED'],
  ] as const;

  it.each(TERMINAL)('%s: a read is refused at once', async (_name, fault, _opening, reading) => {
    faulty.next(fault);
    await expect(read()).rejects.toEqual(withCode(reading));
    expect(faulty.requests).toHaveLength(1);
  });

  it.each(TERMINAL)('%s: opening is refused at once', async (_name, fault, opening) => {
    faulty.next(fault);
    await expect(open()).rejects.toEqual(withCode(opening));
    expect(faulty.requests).toHaveLength(1);
  });

  it.each([
    ['another ETag', changesETag],
    ['another size', answersHeaders({ 'content-range': 'bytes 10000-209999/307201' })],
    ['416 InvalidRange', answers(416, 'InvalidRange')],
  ])('%s: SOURCE_CHANGED at once, whatever the store thinks of If-Match', async (_, fault) => {
    const into = new Uint8Array(200_000);
    faulty.next(fault);
    await expect(read({}, { into })).rejects.toEqual(withCode('SOURCE_CHANGED'));
    expect(faulty.requests).toHaveLength(1);
    expect(into.every((byte) => byte === 0)).toBe(true);
  });

  it('another ETag, and a body that stalls: the body is not waited for', async () => {
    faulty.next({ kind: 'cut', after: 10, by: 'stall', headers: { etag: '"another"' } });
    await expect(read({ idle: 3_600_000 })).rejects.toEqual(withCode('SOURCE_CHANGED'));
    await expect.poll(() => faulty.requests[0]?.hungUp, PATIENT).toBe(true);
  });

  it('another ETag to verify: SOURCE_CHANGED', async () => {
    faulty.next(changesETag);
    await expect(s3Source(reader, pin, QUICK).verify()).rejects.toEqual(withCode('SOURCE_CHANGED'));
  });

  it('an answer without an ETag: nothing can be pinned, SOURCE_UNAVAILABLE', async () => {
    const noETag = alters(({ headers: { etag: _, ...headers }, ...answer }) => ({ ...answer, headers }));
    faulty.next(noETag, noETag, noETag);
    await expect(open()).rejects.toEqual(withCode('SOURCE_UNAVAILABLE'));
  });

  it('leaves what the store said in the cause', async () => {
    faulty.next(answers(403, 'AccessDenied'));
    await expect(read()).rejects.toMatchObject({ cause: { name: 'AccessDenied' } });
  });
});

describe('an abort', () => {
  const PENDING = [
    ['before the first byte', isSilent],
    ['while the body is stalled', stallsAfter(50_000)],
  ] as const;

  it.each(PENDING)('%s rejects with the signal’s reason, closes the connection and tries no more', async (_, fault) => {
    const controller = new AbortController();
    faulty.next(fault);
    const reading = read({}, { signal: controller.signal });
    await expect.poll(() => faulty.requests.length, PATIENT).toBe(1);
    controller.abort(new Error('not wanted any more'));
    await expect(reading).rejects.toBe(controller.signal.reason);
    await expect.poll(() => faulty.requests[0]?.hungUp, PATIENT).toBe(true);
    expect(faulty.requests).toHaveLength(1);
  });

  it('inside a body that has begun to come does the same', async () => {
    const controller = new AbortController();
    const meter = newMeter();
    faulty.next(stallsAfter(50_000));
    const reading = read({ meter }, { signal: controller.signal });
    await expect.poll(() => meter.bytes, PATIENT).toBeGreaterThan(0);
    controller.abort(new Error('not wanted any more'));
    await expect(reading).rejects.toBe(controller.signal.reason);
    await expect.poll(() => faulty.requests[0]?.hungUp, PATIENT).toBe(true);
    expect(faulty.requests).toHaveLength(1);
  });

  it('in a pause between two attempts does not wait for the next', async () => {
    const controller = new AbortController();
    const meter = newMeter();
    faulty.next(...Array<Fault>(8).fill(answers(503, 'SlowDown')));
    const options = { attempts: 8, maxPause: 3_600_000, meter };
    const waiting = s3Source(reader, pin, options).read(RANGE, { signal: controller.signal });
    await expect.poll(() => faulty.requests.length, PATIENT).toBeGreaterThanOrEqual(1);
    controller.abort('a reason that is no Error');
    await expect(waiting).rejects.toBe('a reason that is no Error');
    expect(meter.requests).toBe(faulty.requests.length);
  });

  it('of one read leaves another of the same source alone', async () => {
    const controller = new AbortController();
    faulty.when(({ headers }) => headers.range === 'bytes=10000-209999', stallsAfter(10));
    const source = s3Source(reader, pin, QUICK);
    const stalled = source.read(RANGE, { signal: controller.signal });
    const other = source.read({ start: 5, end: 10 });
    await expect.poll(() => faulty.requests.length, PATIENT).toBe(2);
    controller.abort(new Error('not wanted any more'));
    await expect(stalled).rejects.toBe(controller.signal.reason);
    expect(bytes.compare(await other, 0, undefined, 5, 10)).toBe(0);
  });

  it('that does not come leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    faulty.next(answers(503, 'SlowDown'), endsAfter(10));
    await read({}, { signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('connections', () => {
  it('are used again after a whole answer, and after a refusal', async () => {
    const { region, credentials } = store.s3.target;
    const client = readingClient({ endpoint: faulty.endpoint, region, credentials, forcePathStyle: true });
    faulty.next(answers(503, 'SlowDown'));
    const source = s3Source(client, pin, QUICK);
    await source.read(RANGE);
    await source.read(RANGE);
    await source.verify();
    expect(faulty.requests).toHaveLength(4);
    expect(new Set(faulty.requests.map(({ port }) => port)).size).toBe(1);
    client.destroy();
  });
});
