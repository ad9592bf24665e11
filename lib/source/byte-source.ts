import type { ByteRange } from '../ranges.ts';

export interface ReadOptions {
  /** Stops this read only: callers that share its request still get theirs. The read rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Where to put the bytes: exactly as long as the range. Without it a new array is made. */
  readonly into?: Uint8Array | undefined;
}

/** Random-access bytes that do not change while we read them. Caching, coalescing and counting are wrappers. */
export interface ByteSource {
  /** Length in bytes. */
  readonly size: number;
  /** Names this exact version of the bytes: place and version. Equal ids mean equal bytes. */
  readonly id: string;
  /**
   * Returns exactly `end - start` bytes, not to be modified unless they were read `into` the caller's own array.
   *
   * @throws UnqcowError `RANGE_BEYOND_SOURCE` if the range runs past `size`: a read is never cut short or zero-filled.
   * @throws UnqcowError `SOURCE_CHANGED` if the bytes are no longer those that were opened.
   * @throws UnqcowError `SOURCE_UNAVAILABLE` once retries are spent.
   */
  read(range: ByteRange, options?: ReadOptions): Promise<Uint8Array>;
}

/** A source that holds something open, and that can tell whether it is still the one that was opened. */
export interface OpenSource extends ByteSource {
  /** Costs one request. @throws UnqcowError `SOURCE_CHANGED` if the file or object was replaced, changed or deleted. */
  verify(): Promise<void>;
  close(): Promise<void>;
}
