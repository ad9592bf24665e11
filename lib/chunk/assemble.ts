import pMap from 'p-map';
import type { Extent } from '../format/extent.ts';
import { compressionOf } from '../format/geometry.ts';
import { type Disk, diskBatches, type Layer } from '../format/layer.ts';
import { type Piece, planReads, READ_LIMITS, type ReadPlan } from '../plan/reads.ts';
import type { ByteRange } from '../ranges.ts';
import { SECTOR } from '../units.ts';
import { Buffers, sharedBytes } from './buffers.ts';
import { type CompressedPiece, decompressInto, type OnLost } from './decompress.ts';

export interface AssembleOptions {
  readonly signal?: AbortSignal | undefined;
  /** Reads in flight, each of up to 8 MiB. */
  readonly concurrency?: number;
  /** Where the bytes go, whatever is there now: shared memory, exactly as long as the stretch. */
  readonly into?: Uint8Array | undefined;
  /** Told of clusters that cannot be decompressed, in layers where damage is passed over. */
  readonly lost?: OnLost;
}

/** Bytes that are read and are not yet where they belong, in all stretches that are made at the same time: 128 MiB. */
export const READ_MEMORY = 16 * READ_LIMITS.maxLength;
const windows = new Buffers(READ_LIMITS.maxLength, READ_MEMORY / READ_LIMITS.maxLength);

/**
 * Makes the guest's bytes of one stretch of disk: finds its extents, fetches them by few reads, and puts each where it
 * belongs. Decompression of one read runs while others are fetched. What no extent names is zeros, and so is what is lost.
 *
 * Memory: the stretch itself, its extents, and at most 128 MiB of reads, for all stretches together.
 *
 * @param part Guest bytes, within the disk; whole sectors where a layer is encrypted, else any.
 * @throws UnqcowError `DECOMPRESS_FAILED`, `DECOMPRESS_SHORT` at `disk[guest offset]`; as `diskBatches` and the source do.
 */
export async function assemble(
  disk: Disk,
  part: ByteRange,
  { signal, concurrency = 8, into, lost = () => {} }: AssembleOptions = {},
): Promise<Uint8Array> {
  // Gathered first: a disk that changes between files at every cluster still costs few reads of each.
  const byLayer = disk.layers.map((): Extent[] => []);
  for await (const { layer, extents } of diskBatches(disk, part, { signal })) byLayer[layer]?.push(...extents);
  const reads = byLayer.flatMap((extents, index) => {
    const layer = disk.layers[index] as Layer;
    return planReads(extents, part, layer.data.size).map((read) => ({ read, placing: { layer, part, signal, lost } }));
  });
  const bytes = into ?? sharedBytes(part.end - part.start);
  if (into && reads.reduce((sum, { read }) => sum + placedBy(read), 0) < bytes.length) bytes.fill(0);
  await pMap(reads, ({ read, placing }) => fetchInto(bytes, read, placing), { concurrency });
  return bytes;
}

interface Placing {
  readonly layer: Layer;
  readonly part: ByteRange;
  readonly signal: AbortSignal | undefined;
  readonly lost: OnLost;
}

const placedBy = ({ members }: ReadPlan) => members.reduce((sum, { length }) => sum + length, 0);

async function fetchInto(bytes: Uint8Array, read: ReadPlan, placing: Placing): Promise<void> {
  const { layer, signal } = placing;
  const lost = layer.salvage && placing.lost;
  const [only] = read.members;
  if (read.members.length === 1 && only?.kind === 'plain') {
    const into = bytes.subarray(only.at, only.at + only.length);
    await layer.data.read(read, { signal, into });
    decrypt(into, only, placing);
    return;
  }
  await windows.with(async (window) => {
    const fetched = await layer.data.read(read, { signal, into: window.subarray(0, read.end - read.start) });
    const compressed: CompressedPiece[] = [];
    for (const piece of read.members) {
      if (piece.kind === 'compressed') compressed.push(piece);
      else {
        bytes.set(fetched.subarray(piece.start - read.start, piece.end - read.start), piece.at);
        decrypt(bytes.subarray(piece.at, piece.at + piece.length), piece, placing);
      }
    }
    const compression = compressionOf(layer.map.geometry);
    const place = { from: read.start, part: placing.part.start, compression };
    await decompressInto(bytes, fetched, compressed, place, { signal, lost });
  });
}

/** Compressed clusters are never encrypted; what lies plain in an encrypted image always is. */
function decrypt(bytes: Uint8Array, piece: Piece, { layer: { cipher }, part }: Placing): void {
  if (!cipher) return;
  cipher.decrypt(bytes, (cipher.numbering === 'host' ? piece.start : part.start + piece.at) / SECTOR);
}
