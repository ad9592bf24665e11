import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ZstdOptions, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import { UnqcowError } from '../errors.ts';
import { findFrame, type ZstdFrame } from './zstd-frame.ts';

const inPool = promisify<Uint8Array, ZstdOptions, Uint8Array>(zstdDecompress);

/** A frame of so many stored bytes takes less time to decompress than to hand to the thread pool and get back. */
const SMALL_FRAME = 4096;

/** How many small frames are decompressed at a time before others have their turn. */
const FRAMES_PER_TURN = 256;

/**
 * Decompresses one cluster's zstd frames: as many as it takes to fill the cluster, skippable ones between them. What
 * follows is ignored, as QEMU does. A frame that goes on past the cluster is refused, as QEMU does too, and so is one that
 * needs a dictionary or a window of more than 128 MiB; it needs none if it says its size and all of it is there.
 *
 * Time grows with the stored bytes and the cluster, however many frames there are. The first frame, which is as a rule
 * the only one, runs on zlib's thread pool. Memory: the cluster twice, and as much of a window as the frame fills.
 *
 * @param stream The bytes that the L2 entry names; they may hold more than the frames.
 * @returns Exactly `clusterSize` bytes.
 * @throws UnqcowError `DECOMPRESS_SHORT`, `DECOMPRESS_FAILED`.
 * @see qcow2.rst § Cluster mapping, compressed clusters descriptor; RFC 8878 § 3.1
 */
export async function unzstdCluster(stream: Uint8Array, clusterSize: number, at: string): Promise<Uint8Array> {
  let cluster: Uint8Array | undefined;
  let filled = 0;
  for (let count = 0, next = 0; filled < clusterSize; count += 1) {
    const progress = { count, filled, clusterSize, at };
    const frame = findFrame(stream, next);
    if (!frame) throw noFrame(progress, 'a skippable frame runs to the end of the stream or past it');
    const bytes = await unzstdFrame(stream, frame, progress);
    if (count === 0 && bytes.length === clusterSize) return bytes;
    cluster ??= new Uint8Array(clusterSize);
    cluster.set(bytes, filled);
    filled += bytes.length;
    next = frame.end;
  }
  return cluster as Uint8Array;
}

interface Progress {
  /** Frames before this one, without the skippable ones. */
  readonly count: number;
  /** Bytes that they filled. */
  readonly filled: number;
  readonly clusterSize: number;
  readonly at: string;
}

async function unzstdFrame(stream: Uint8Array, frame: ZstdFrame, progress: Progress): Promise<Uint8Array> {
  const { count, filled, clusterSize } = progress;
  const stored = stream.subarray(frame.start, frame.end);
  const room = clusterSize - filled;
  const options = { chunkSize: chunkSizeFor(frame, room, count), maxOutputLength: room };
  try {
    if (count === 0 || stored.length > SMALL_FRAME) return await inPool(stored, options);
    if (count % FRAMES_PER_TURN === 0) await setImmediate();
    return zstdDecompressSync(stored, options);
  } catch (cause) {
    throw refusal(cause as NodeJS.ErrnoException, stored, progress);
  }
}

/**
 * One byte more than there is room for: Node then sees in one go that the frame has ended, or that it goes on. Less for
 * the frames after the first, of which there may be very many: what they say (a lie ends the work) or their length allow.
 */
function chunkSizeFor({ start, end, contentSize }: ZstdFrame, room: number, count: number): number {
  const expected = count === 0 ? room : (contentSize ?? 64 * (end - start));
  return Math.max(64, Math.min(expected, room) + 1);
}

function refusal(cause: NodeJS.ErrnoException, stored: Uint8Array, progress: Progress): UnqcowError {
  const { filled, clusterSize, at } = progress;
  if (cause.code === 'ZSTD_error_prefix_unknown')
    return noFrame(progress, 'there is no zstd frame where the first should be', cause);
  if (cause.code === 'Z_BUF_ERROR' || isZeroPadded(cause, stored)) {
    const message = `the stream is cut in a frame that starts at byte ${filled} of the cluster`;
    return new UnqcowError('DECOMPRESS_SHORT', message, { at, cause });
  }
  const message =
    cause.code === 'ERR_BUFFER_TOO_LARGE'
      ? `the stream does not end where the cluster's ${clusterSize} bytes do`
      : `the stream is damaged (${cause.message})`;
  return new UnqcowError('DECOMPRESS_FAILED', message, { at, cause });
}

/** A frame cut short and zero-padded to the sector's end: a sound one ends in at most one zero byte. */
function isZeroPadded({ code }: NodeJS.ErrnoException, stored: Uint8Array): boolean {
  return code === 'ZSTD_error_corruption_detected' && stored.at(-1) === 0 && stored.at(-2) === 0;
}

/** Where a frame should be is none: the first was never there, a later one is what the stream lacks. */
function noFrame({ count, filled, clusterSize, at }: Progress, what: string, cause?: Error): UnqcowError {
  return count === 0
    ? new UnqcowError('DECOMPRESS_FAILED', what, { at, cause })
    : new UnqcowError('DECOMPRESS_SHORT', `the stream holds ${filled} bytes of a cluster's ${clusterSize}`, {
        at,
        cause,
      });
}
