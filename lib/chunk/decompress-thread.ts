import { Worker } from 'node:worker_threads';
import type { Compression } from '../format/geometry.ts';
import { type InPlace, inPlace } from './in-place.ts';

/** Where in the stored bytes one stream lies, `[start, end)`, and which bytes of its cluster go where. */
export interface Stream {
  readonly start: number;
  readonly end: number;
  /** Offset in what is made, in bytes. */
  readonly at: number;
  /** Bytes of the cluster before those that are wanted. */
  readonly skip: number;
  readonly length: number;
}

export interface ThreadJob {
  readonly compression: Compression;
  readonly clusterSize: number;
  readonly stored: Uint8Array;
  readonly into: Uint8Array;
  readonly streams: readonly Stream[];
}

/** What a thread answers: the indexes of the streams that it could not decompress in one go. */
export type ThreadAnswer = readonly number[];

/**
 * The thread's whole program. It runs from its own text, so that there is no second file that a bundle could lack: it may
 * use nothing from outside but what it is given.
 *
 * Only what fits in one go is decompressed here: one deflate stream or one zstd frame, which fill the cluster exactly.
 */
function program(decompressor: typeof inPlace) {
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  const made: Partial<Record<Compression, InPlace>> = {};
  let spare = new Uint8Array(0);
  parentPort?.on('message', ({ compression, clusterSize, stored, into, streams }: ThreadJob) => {
    made[compression] ??= decompressor(compression);
    const decompress = made[compression];
    const failed: number[] = [];
    streams.forEach(({ start, end, at, skip, length }, i) => {
      const stream = stored.subarray(start, end);
      if (length === clusterSize) {
        if (!decompress(stream, into.subarray(at, at + length))) failed.push(i);
        return;
      }
      if (spare.length !== clusterSize) spare = new Uint8Array(clusterSize);
      if (decompress(stream, spare)) into.set(spare.subarray(skip, skip + length), at);
      else failed.push(i);
    });
    parentPort.postMessage(failed);
  });
}

/** Starts a thread. It does not keep the process alive. */
export function startThread(): Worker {
  const thread = new Worker(`(${program})(${inPlace})`, { eval: true, name: 'decompress' });
  thread.unref();
  return thread;
}
