import pMap from 'p-map';
import { extentBatches, type GuestMap } from '../format/extents.ts';
import { clusterSizeOf } from '../format/geometry.ts';
import { type Piece, planReads, type ReadPlan } from '../plan/reads.ts';
import type { ByteRange } from '../ranges.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { inflateCluster } from './inflate.ts';

export interface AssembleOptions {
  readonly signal?: AbortSignal | undefined;
  /** Reads in flight, each of up to 8 MiB. */
  readonly concurrency?: number;
}

/**
 * Makes the guest's bytes of one stretch of disk: finds its extents, fetches them by few reads, and puts each where it
 * belongs. Decompression of one read runs while others are fetched. What no extent names stays zero.
 *
 * Memory: the stretch itself, and `concurrency` reads of up to 8 MiB.
 *
 * @param part Guest bytes; starts on a cluster, ends on one or at the disk's end.
 * @throws UnqcowError `DECOMPRESS_FAILED`, `DECOMPRESS_SHORT` at `disk[guest offset]`; as `extentBatches` and the source do.
 */
export async function assemble(
  source: ByteSource,
  map: GuestMap,
  part: ByteRange,
  { signal, concurrency = 8 }: AssembleOptions = {},
): Promise<Uint8Array> {
  const bytes = new Uint8Array(part.end - part.start);
  const clusterSize = clusterSizeOf(map.geometry);
  for await (const batch of extentBatches(source, map, part, { signal })) {
    const reads = planReads(batch, part, source.size);
    await pMap(reads, (read) => fetchInto(bytes, source, read, { part, clusterSize, signal }), { concurrency });
  }
  return bytes;
}

interface Placing {
  readonly part: ByteRange;
  readonly clusterSize: number;
  readonly signal: AbortSignal | undefined;
}

async function fetchInto(bytes: Uint8Array, source: ByteSource, read: ReadPlan, placing: Placing): Promise<void> {
  const { signal } = placing;
  const [only] = read.members;
  if (read.members.length === 1 && only?.kind === 'plain') {
    await source.read(read, { signal, into: bytes.subarray(only.at, only.at + only.length) });
    return;
  }
  const fetched = await source.read(read, { signal });
  const place = async (piece: Piece) => {
    const stored = fetched.subarray(piece.start - read.start, piece.end - read.start);
    bytes.set(piece.kind === 'plain' ? stored : await inflated(stored, piece, placing), piece.at);
  };
  // As many as keep zlib's threads busy: a read of 8 MiB may hold thousands of clusters.
  await pMap(read.members, place, { concurrency: 8, ...(signal ? { signal } : {}) });
}

async function inflated(stored: Uint8Array, piece: Piece, { part, clusterSize }: Placing): Promise<Uint8Array> {
  const cluster = await inflateCluster(stored, clusterSize, `disk[${part.start + piece.at}]`);
  return cluster.subarray(0, piece.length);
}
