import { constants, inflateRawSync, zstdDecompressSync } from 'node:zlib';
import { sharedBytes } from '../../lib/chunk/buffers.ts';
import { type CompressedPiece, decompressInto } from '../../lib/chunk/decompress.ts';
import { Decompressor } from '../../lib/chunk/decompressor.ts';
import { findFrame } from '../../lib/chunk/zstd-frame.ts';
import { diskBatches } from '../../lib/format/layer.ts';
import { openDisk } from '../../lib/jobs/open-disk.ts';
import { planReads } from '../../lib/plan/reads.ts';
import { openFile } from '../../lib/source/file.ts';
import { MiB } from '../../lib/units.ts';
import type { Corpus } from './corpus.ts';
import { median } from './measured.ts';

/** Bytes of clusters per second, and how ours compare with a bare loop over the same clusters in the same round. */
export interface DecompressionRow {
  readonly compression: 'deflate' | 'zstd';
  readonly bare: number;
  readonly one: number;
  readonly two: number;
  readonly oneRatio: number;
  readonly twoRatio: number;
}

/** How much of the disk is taken: its middle, all of it in memory before anything is measured. */
const STRETCH = { start: 256 * MiB, end: 640 * MiB };

interface Read {
  readonly fetched: Uint8Array;
  readonly from: number;
  readonly pieces: readonly CompressedPiece[];
}

/** Measures decompression alone, round by round: a bare loop, ours on one thread, ours on two. */
export async function decompression(corpus: Corpus, runs: number): Promise<DecompressionRow[]> {
  const rows: DecompressionRow[] = [];
  for (const compression of ['deflate', 'zstd'] as const) {
    const { reads, bytes } = await load(corpus.images[compression]);
    const into = sharedBytes(STRETCH.end - STRETCH.start);
    const [one, two] = [new Decompressor(1), new Decompressor(2)];
    const ours = (threads: Decompressor) => async () => {
      const place = { part: STRETCH.start, compression } as const;
      await Promise.all(
        reads.map(({ fetched, from, pieces }) =>
          decompressInto(into, fetched, pieces, { ...place, from }, { threads }),
        ),
      );
    };
    const bare = () => bareLoop(reads, compression);
    const rounds: (readonly [number, number, number])[] = [];
    for (let i = 0; i <= runs; i += 1) {
      const round = [await rate(bytes, bare), await rate(bytes, ours(one)), await rate(bytes, ours(two))] as const;
      if (i > 0) rounds.push(round); // the first one warmed up
    }
    await Promise.all([one.close(), two.close()]);
    const of = (pick: (round: readonly [number, number, number]) => number) => median(rounds.map(pick));
    rows.push({
      compression,
      bare: of(([each]) => each),
      one: of(([, each]) => each),
      two: of(([, , each]) => each),
      oneRatio: of(([loop, each]) => each / loop),
      twoRatio: of(([loop, , each]) => each / loop),
    });
  }
  return rows;
}

async function load(path: string): Promise<{ reads: Read[]; bytes: number }> {
  const source = await openFile(path);
  const disk = await openDisk(source, { kind: 'file', path });
  const reads: Read[] = [];
  let bytes = 0;
  for await (const { extents } of diskBatches(disk, STRETCH)) {
    for (const read of planReads(extents, STRETCH, source.size)) {
      const pieces = read.members.filter((piece): piece is CompressedPiece => piece.kind === 'compressed');
      const fetched = await source.read(read, { into: sharedBytes(read.end - read.start) });
      reads.push({ fetched, from: read.start, pieces });
      bytes += pieces.reduce((sum, { length }) => sum + length, 0);
    }
  }
  await source.close();
  return { reads, bytes };
}

/** The least that can be done: each cluster's stream or frame, one after the other, and the result dropped. */
function bareLoop(reads: readonly Read[], compression: 'deflate' | 'zstd'): void {
  for (const { fetched, from, pieces } of reads) {
    for (const { start, end, clusterSize } of pieces) {
      const stream = fetched.subarray(start - from, end - from);
      if (compression === 'zstd') {
        zstdDecompressSync(stream.subarray(0, findFrame(stream, 0)?.end), { chunkSize: clusterSize + 1 });
      } else
        inflateRawSync(stream, {
          chunkSize: clusterSize,
          finishFlush: constants.Z_SYNC_FLUSH,
          maxOutputLength: clusterSize,
        });
    }
  }
}

async function rate(bytes: number, work: () => unknown): Promise<number> {
  const begun = performance.now();
  await work();
  return bytes / ((performance.now() - begun) / 1000);
}
