import type { ByteRange } from '../../../lib/ranges.ts';
import type { ByteSource, ReadOptions } from '../../../lib/source/byte-source.ts';

/** A request that waits for the test to answer it. */
export interface HeldRequest extends ByteRange {
  /** Of the request itself: aborted where nobody waits for it any more. */
  readonly signal: AbortSignal | undefined;
  answer(): void;
  fail(reason: unknown): void;
}

/** Bytes whose requests stay open until the test answers them. An aborted request rejects, as those of S3 do. */
export function held(bytes: Uint8Array): ByteSource & { readonly requests: HeldRequest[] } {
  const requests: HeldRequest[] = [];
  return {
    size: bytes.length,
    id: 'held',
    requests,
    read: ({ start, end }: ByteRange, { signal, into }: ReadOptions = {}) =>
      new Promise((resolve, reject) => {
        const answer = () => {
          into?.set(bytes.subarray(start, end));
          resolve(into ?? bytes.subarray(start, end));
        };
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
        requests.push({ start, end, signal, answer, fail: reject });
      }),
  };
}

/** A turn of the event loop: reads that were asked for are now requests. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
