import { LRUCache } from 'lru-cache';
import pMap from 'p-map';
import { inflateCluster } from '../chunk/inflate.ts';
import { unzstdCluster } from '../chunk/zstd.ts';
import { type FindingCode, FindingCodes, UnqcowError } from '../errors.ts';
import type { CheckOptions } from '../format/check/check-image.ts';
import type { Findings } from '../format/check/findings.ts';
import { compressedStreams, type Stream } from '../format/check/streams.ts';
import { clusterSizeOf, compressionOf } from '../format/geometry.ts';
import { type AnyImage, isQcow1 } from '../format/open-any.ts';
import { qcow1Streams } from '../format/qcow1/streams.ts';
import { type ByteRange, type MergedRange, mergeRanges } from '../ranges.ts';
import { KiB, MiB } from '../units.ts';
import { mapOrStop } from './map-or-stop.ts';

/** Streams near each other come by one request, and so many requests are under way at a time. */
const TOGETHER = { maxGap: 64 * KiB, maxLength: 8 * MiB };
const READS = 3;
/** Clusters of one read that are decompressed at the same time: as many as keep zlib's threads busy. */
const AT_ONCE = 8;
/** Streams that are remembered, so that one which many entries share is decompressed once. */
const REMEMBERED = 65_536;

/** A stream, and the bytes of it that the file has. */
interface StoredStream extends Stream, ByteRange {}

/**
 * Decompresses every compressed cluster of an image, of the active disk and of all snapshots, and adds what is wrong with
 * them to what was found. The bytes are dropped.
 *
 * Memory: three reads of up to 8 MiB, and eight clusters for each. Work: streams of twice the file's bytes, for the active
 * disk and for each snapshot.
 *
 * @returns how many were decompressed; one that several entries share counts once.
 * @throws UnqcowError `CHECK_LIMIT` if streams lie on each other; as the source does.
 */
export async function checkStreams(image: AnyImage, findings: Findings, options: CheckOptions): Promise<number> {
  const { source } = image;
  const seen = new LRUCache<number, true>({ max: REMEMBERED });
  const check = streamChecker(image);
  const work = new Work(image);
  let count = 0;
  for await (const all of isQcow1(image) ? qcow1Streams(image, options) : compressedStreams(image, options)) {
    const streams = all.filter(({ host }) => !seen.has(host) && seen.set(host, true));
    count += streams.length;
    const there = streams.flatMap((stream): StoredStream[] => {
      const end = Math.min(stream.host + stream.length, source.size);
      if (stream.host < source.size) return [{ ...stream, start: stream.host, end }];
      const message = `the stream at ${stream.host} lies past the file's ${source.size} bytes`;
      findings.add('CLUSTER_BEYOND_EOF', () => ({ at: stream.at, message }));
      return [];
    });
    work.add(there);
    const decompress = async (read: MergedRange<StoredStream>, signal: AbortSignal) => {
      const bytes = await source.read(read, { signal });
      const one = (stream: StoredStream) =>
        check(bytes.subarray(stream.start - read.start, stream.end - read.start), stream, findings);
      await pMap(read.members, one, { concurrency: AT_ONCE, signal });
    };
    await mapOrStop(mergeRanges(there, TOGETHER), decompress, { concurrency: READS, signal: options.signal });
  }
  return count;
}

/** Entries count sectors: a stream may end this much before the last one does. */
const SECTOR_REST = 511;
/** Fewer bytes than any stream has. */
const LEAST_STREAM = 4;
/** No stream is shorter than its cluster by more: deflate puts 258 bytes into 2 bits, zstd a block of 128 KiB into 4 bytes. */
const HIGHEST_RATIO = { deflate: 1032, zstd: 32_768 } as const;
/** Bytes of streams that may lie on each other, as damage has it. */
const SPARE = 4 * MiB;

/**
 * Counts the fewest bytes that the streams can have. Those of one disk do not lie on each other, and so have no more than
 * the file; a snapshot may have other tables for the same ones. Twice that, and they do lie on each other: a small file
 * could then inflate to any number of bytes.
 */
class Work {
  readonly #fileSize: number;
  readonly #disks: number;
  readonly #least: number;
  #tables = 0;
  #bytes = 0;

  constructor(image: AnyImage) {
    const { geometry, source } = image;
    this.#fileSize = source.size;
    this.#disks = isQcow1(image) ? 1 : 1 + image.header.nbSnapshots;
    this.#least = Math.max(LEAST_STREAM, clusterSizeOf(geometry) / HIGHEST_RATIO[compressionOf(geometry)]);
  }

  /** @param streams An L2 table's, as far as the file has them. @throws UnqcowError `CHECK_LIMIT` */
  add(streams: readonly ByteRange[]): void {
    this.#tables += 1;
    for (const { start, end } of streams) this.#bytes += Math.max(this.#least, end - start - SECTOR_REST);
    if (this.#bytes <= 2 * this.#fileSize * Math.min(this.#tables, this.#disks) + SPARE) return;
    const message = 'compressed clusters that lie on each other have more bytes than the file can hold';
    throw new UnqcowError('CHECK_LIMIT', message);
  }
}

type StreamChecker = (stored: Uint8Array, stream: Stream, findings: Findings) => Promise<void>;

function streamChecker(image: AnyImage): StreamChecker {
  const decompress = compressionOf(image.geometry) === 'zstd' ? unzstdCluster : inflateCluster;
  const clusterSize = clusterSizeOf(image.geometry);
  return async (stored, { at }, findings) => {
    try {
      await decompress(stored, clusterSize, at);
    } catch (error) {
      if (!(error instanceof UnqcowError && error.code in FindingCodes)) throw error;
      findings.add(error.code as FindingCode, () => ({ at, message: error.message }));
    }
  };
}
