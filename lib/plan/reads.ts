import type { Extent } from '../format/extent.ts';
import { type ByteRange, type MergeLimits, mergeRanges, splitRange } from '../ranges.ts';
import { KiB, MiB } from '../units.ts';

interface PieceBase extends ByteRange {
  /** Offset in the part, in bytes. */
  readonly at: number;
  /** Bytes in the part. */
  readonly length: number;
}

/** Bytes of the image, `[start, end)`, and where in the part they go: as they are, or some of the cluster that they decompress to. */
export type Piece =
  | (PieceBase & { readonly kind: 'plain' })
  | (PieceBase & {
      readonly kind: 'compressed';
      readonly clusterSize: number;
      /** Bytes of the cluster before those that are wanted. */
      readonly skip: number;
    });

/** One request, and the pieces that it brings. */
export interface ReadPlan extends ByteRange {
  readonly members: readonly Piece[];
}

/**
 * Joining over a gap costs its transfer, which all parts in the making share; a request of its own costs latency, which
 * they overlap. Over 32 KiB, few gaps of an image as `qemu-img` writes it would be joined, and of a fragmented one too many.
 */
export const READ_LIMITS: MergeLimits = { maxGap: 32 * KiB, maxLength: 8 * MiB };

/**
 * Plans the fewest reads for a stretch of disk: what the extents name, sorted by host offset, joined over small gaps.
 * Bytes that the file does not have are left out: the part starts as zeros.
 *
 * @param part Guest bytes; extents are clipped to it.
 */
export function planReads(
  extents: Iterable<Extent>,
  part: ByteRange,
  fileSize: number,
  limits = READ_LIMITS,
): ReadPlan[] {
  const pieces: Piece[] = [];
  for (const extent of extents) {
    if (extent.kind === 'data') pieces.push(...plainPieces(extent, part, fileSize, limits.maxLength));
    if (extent.kind === 'compressed') pieces.push(...streams(extent, part));
  }
  return mergeRanges(pieces, limits);
}

function plainPieces(extent: Extent & { kind: 'data' }, part: ByteRange, fileSize: number, maxLength: number): Piece[] {
  const from = Math.max(extent.start, part.start);
  const to = Math.min(extent.end, part.end);
  const start = extent.host + from - extent.start;
  const end = Math.min(start + to - from, fileSize);
  return splitRange({ start, end }, maxLength).map((piece) => ({
    kind: 'plain',
    ...piece,
    at: from - part.start + piece.start - start,
    length: piece.end - piece.start,
  }));
}

function streams(extent: Extent & { kind: 'compressed' }, part: ByteRange): Piece[] {
  const { origin, clusterSize } = extent;
  const from = Math.max(extent.start, part.start);
  const to = Math.min(extent.end, part.end);
  return extent.clusters.flatMap(({ host, length: stored }, i) => {
    const base = origin + i * clusterSize;
    const start = Math.max(base, from);
    const length = Math.min(base + clusterSize, to) - start;
    if (length <= 0) return [];
    const place = { start: host, end: host + stored, at: start - part.start, length };
    return [{ kind: 'compressed' as const, ...place, clusterSize, skip: start - base }];
  });
}
