import pMap from 'p-map';
import type { Extent } from '../format/extent.ts';
import { type Disk, diskBatches, type Layer } from '../format/layer.ts';
import { type Piece, planReads, type ReadPlan } from '../plan/reads.ts';
import type { ByteRange } from '../ranges.ts';
import { inflateCluster } from './inflate.ts';
import { unzstdCluster } from './zstd.ts';

export interface AssembleOptions {
  readonly signal?: AbortSignal | undefined;
  /** Reads in flight, each of up to 8 MiB. */
  readonly concurrency?: number;
}

/**
 * Makes the guest's bytes of one stretch of disk: finds its extents, fetches them by few reads, and puts each where it
 * belongs. Decompression of one read runs while others are fetched. What no extent names stays zero.
 *
 * Memory: the stretch itself, its extents, and `concurrency` reads of up to 8 MiB.
 *
 * @param part Guest bytes; starts on a cluster, ends on one or at the disk's end.
 * @throws UnqcowError `DECOMPRESS_FAILED`, `DECOMPRESS_SHORT` at `disk[guest offset]`; as `diskBatches` and the source do.
 */
export async function assemble(
  disk: Disk,
  part: ByteRange,
  { signal, concurrency = 8 }: AssembleOptions = {},
): Promise<Uint8Array> {
  const bytes = new Uint8Array(part.end - part.start);
  // Gathered first: a disk that changes between files at every cluster still costs few reads of each.
  const byLayer = disk.layers.map((): Extent[] => []);
  for await (const { layer, extents } of diskBatches(disk, part, { signal })) byLayer[layer]?.push(...extents);
  const reads = byLayer.flatMap((extents, index) => {
    const layer = disk.layers[index] as Layer;
    return planReads(extents, part, layer.data.size).map((read) => ({ read, placing: { layer, part, signal } }));
  });
  await pMap(reads, ({ read, placing }) => fetchInto(bytes, read, placing), { concurrency });
  return bytes;
}

interface Placing {
  readonly layer: Layer;
  readonly part: ByteRange;
  readonly signal: AbortSignal | undefined;
}

async function fetchInto(bytes: Uint8Array, read: ReadPlan, placing: Placing): Promise<void> {
  const { layer, signal } = placing;
  const [only] = read.members;
  if (read.members.length === 1 && only?.kind === 'plain') {
    const into = bytes.subarray(only.at, only.at + only.length);
    await layer.data.read(read, { signal, into });
    decrypt(into, only, placing);
    return;
  }
  const fetched = await layer.data.read(read, { signal });
  const place = async (piece: Piece) => {
    const stored = fetched.subarray(piece.start - read.start, piece.end - read.start);
    if (piece.kind === 'compressed') bytes.set(await decompressed(stored, piece, placing), piece.at);
    else {
      bytes.set(stored, piece.at);
      decrypt(bytes.subarray(piece.at, piece.at + piece.length), piece, placing);
    }
  };
  // As many as keep zlib's threads busy: a read of 8 MiB may hold thousands of clusters.
  await pMap(read.members, place, { concurrency: 8, ...(signal ? { signal } : {}) });
}

const SECTOR = 512;

/** Compressed clusters are never encrypted; what lies plain in an encrypted image always is. */
function decrypt(bytes: Uint8Array, piece: Piece, { layer: { cipher }, part }: Placing): void {
  if (!cipher) return;
  cipher.decrypt(bytes, (cipher.numbering === 'host' ? piece.start : part.start + piece.at) / SECTOR);
}

async function decompressed(
  stored: Uint8Array,
  piece: Piece & { kind: 'compressed' },
  { layer, part }: Placing,
): Promise<Uint8Array> {
  const { geometry } = layer.map;
  const decompress = 'compression' in geometry && geometry.compression === 'zstd' ? unzstdCluster : inflateCluster;
  const cluster = await decompress(stored, piece.clusterSize, `disk[${part.start + piece.at}]`);
  return cluster.subarray(piece.skip, piece.skip + piece.length);
}
