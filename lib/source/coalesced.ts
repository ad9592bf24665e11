import {
  assertWithin,
  type ByteRange,
  type MergedRange,
  type MergeLimits,
  mergeRanges,
  splitRange,
} from '../ranges.ts';
import type { ByteSource, ReadOptions } from './byte-source.ts';

interface Waiting extends ByteRange {
  readonly into: Uint8Array | undefined;
  readonly signal: AbortSignal | undefined;
  resolve(bytes: Uint8Array): void;
  reject(reason: unknown): void;
}

/**
 * Joins reads that are asked for at the same moment into few requests. A request is stopped only once every caller that
 * waits for it has gone. A read longer than `maxLength` is cut into several requests that run side by side.
 *
 * Costs one request per merged range; the gaps between its members are fetched and dropped.
 */
export function coalesced(source: ByteSource, limits: MergeLimits): ByteSource {
  let waiting: Waiting[] = [];

  const flush = () => {
    const batch = waiting;
    waiting = [];
    const stay = batch.filter(({ signal, reject }) => {
      if (signal?.aborted) reject(signal.reason);
      return !signal?.aborted;
    });
    for (const group of mergeRanges(stay, limits)) void fetchGroup(source, group);
  };

  const enqueue = (range: ByteRange, { into, signal }: ReadOptions) =>
    new Promise<Uint8Array>((resolve, reject) => {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ ...range, into, signal, resolve, reject });
    });

  /** If one piece fails, the others stop: nothing is written into the caller's array once the read has ended. */
  const readInPieces = async (range: ByteRange, { into, signal }: ReadOptions) => {
    const bytes = into ?? new Uint8Array(range.end - range.start);
    const stop = new AbortController();
    const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    const pieces = splitRange(range, limits.maxLength).map((piece) =>
      enqueue(piece, { signal: either, into: bytes.subarray(piece.start - range.start, piece.end - range.start) }),
    );
    try {
      await Promise.all(pieces);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
    return bytes;
  };

  return {
    size: source.size,
    id: source.id,
    async read(range, options = {}) {
      options.signal?.throwIfAborted();
      assertWithin(range, source.size);
      const length = range.end - range.start;
      if (length === 0) return options.into ?? new Uint8Array(0);
      if (length <= limits.maxLength) return enqueue(range, options);
      return readInPieces(range, options);
    },
  };
}

/** Fetches one merged range and deals its bytes out. Never rejects: failures go to those who wait. */
async function fetchGroup(source: ByteSource, group: MergedRange<Waiting>): Promise<void> {
  const request = new AbortController();
  const present = new Set(group.members);
  const leave = (member: Waiting) => {
    present.delete(member);
    member.reject(member.signal?.reason);
    if (present.size === 0) request.abort(member.signal?.reason);
  };
  const stopListening = group.members.map((member) => {
    const onAbort = () => leave(member);
    member.signal?.addEventListener('abort', onAbort, { once: true });
    return () => member.signal?.removeEventListener('abort', onAbort);
  });
  try {
    const [only] = group.members;
    const into = group.members.length === 1 ? only?.into : undefined;
    const bytes = await source.read({ start: group.start, end: group.end }, { signal: request.signal, into });
    for (const member of present) member.resolve(deal(bytes, group.start, member));
  } catch (error) {
    for (const member of present) member.reject(error);
  } finally {
    for (const stop of stopListening) stop();
  }
}

function deal(bytes: Uint8Array, start: number, member: Waiting): Uint8Array {
  if (member.into === bytes) return bytes;
  const own = bytes.subarray(member.start - start, member.end - start);
  // A copy: a view would keep the whole request in memory, gaps and neighbours, for as long as any part of it is used.
  if (!member.into) return own.length === bytes.length ? own : own.slice();
  member.into.set(own);
  return member.into;
}
