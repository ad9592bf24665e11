import { UnqcowError } from '../errors.ts';
import type { Extent } from '../format/extent.ts';
import type { Compression } from '../format/geometry.ts';
import type { Piece } from '../plan/reads.ts';
import { MiB } from '../units.ts';
import type { Stream } from './decompress-thread.ts';
import { Decompressor } from './decompressor.ts';
import { inflateCluster } from './inflate.ts';
import { unzstdCluster } from './zstd.ts';
import { findFrame } from './zstd-frame.ts';

export type CompressedPiece = Piece & { readonly kind: 'compressed' };

export interface Place {
  /** Offset in the file of the first byte that was fetched. */
  readonly from: number;
  /** Offset on the disk of the first byte that is made. */
  readonly part: number;
  readonly compression: Compression;
}

/** What a thread makes before it answers, in bytes: enough to be worth the message, little enough to share out evenly. */
const JOB_BYTES = 2 * MiB;

/** For the whole process: there are so many cores, however many disks are converted. */
const allCores = new Decompressor();

export interface DecompressOptions {
  readonly signal?: AbortSignal | undefined;
  readonly threads?: Decompressor;
  /** Told of streams that are damaged, whose clusters are then zeros. Left out, they are refused. */
  readonly lost?: OnLost | undefined;
}

export type OnLost = (extent: Extent & { readonly kind: 'lost' }) => void;

/**
 * Decompresses what one read brought to where it belongs, on all cores. The threads do the usual case, a stream that is
 * its cluster exactly; what they leave is done again, slowly and carefully, and what is damaged is refused then.
 *
 * @param bytes Shared memory, and so is `fetched`. Neither may be used for anything else before this has ended.
 * @throws UnqcowError `DECOMPRESS_FAILED`, `DECOMPRESS_SHORT` at `disk[guest offset]`.
 */
export async function decompressInto(
  bytes: Uint8Array,
  fetched: Uint8Array,
  pieces: readonly CompressedPiece[],
  place: Place,
  { signal, threads = allCores, lost }: DecompressOptions = {},
): Promise<void> {
  const careful: CompressedPiece[] = [];
  const usual: Usual[] = [];
  for (const piece of pieces) {
    const stream = streamOf(fetched, piece, place);
    if (stream) usual.push({ piece, stream });
    else careful.push(piece);
  }
  const jobs = jobsOf(usual).map(async (job) => {
    const streams = job.map(({ stream }) => stream);
    const { clusterSize } = (job[0] as Usual).piece;
    const { compression } = place;
    const left = await threads.run({ compression, clusterSize, stored: fetched, into: bytes, streams });
    for (const index of left) careful.push((job[index] as Usual).piece);
  });
  // All of them are waited for, whatever happens: while one still runs, the buffers are in use.
  for (const result of await Promise.allSettled(jobs)) if (result.status === 'rejected') throw result.reason;
  for (const piece of careful) {
    signal?.throwIfAborted();
    const stored = fetched.subarray(piece.start - place.from, piece.end - place.from);
    const decompress = place.compression === 'zstd' ? unzstdCluster : inflateCluster;
    const start = place.part + piece.at;
    try {
      const cluster = await decompress(stored, piece.clusterSize, `disk[${start}]`);
      bytes.set(cluster.subarray(piece.skip, piece.skip + piece.length), piece.at);
    } catch (error) {
      if (!(lost && error instanceof UnqcowError)) throw error;
      const { code, message, at } = error;
      bytes.fill(0, piece.at, piece.at + piece.length);
      lost({ kind: 'lost', start, end: start + piece.length, code, message, at });
    }
  }
}

/** A piece that threads may do, and what they are told of it. */
interface Usual {
  readonly piece: CompressedPiece;
  readonly stream: Stream;
}

/** One layer has one cluster size. */
function jobsOf(usual: readonly Usual[]): Usual[][] {
  const jobs: Usual[][] = [];
  const count = Math.ceil(JOB_BYTES / (usual[0]?.piece.clusterSize ?? JOB_BYTES));
  for (let from = 0; from < usual.length; from += count) jobs.push(usual.slice(from, from + count));
  return jobs;
}

/** Where the stream lies. The entry names whole sectors; zstd wants the frame alone, and one that is its cluster exactly. */
function streamOf(fetched: Uint8Array, piece: CompressedPiece, { from, compression }: Place): Stream | undefined {
  const { at, skip, length } = piece;
  const [start, end] = [piece.start - from, piece.end - from];
  if (compression === 'deflate') return { start, end, at, skip, length };
  const frame = findFrame(fetched.subarray(start, end), 0);
  if (!frame?.isWhole || frame.contentSize !== piece.clusterSize) return undefined;
  return { start: start + frame.start, end: start + frame.end, at, skip, length };
}
