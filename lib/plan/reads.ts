import type { Extent } from '../format/extent.ts';
import { type ByteRange, type MergeLimits, mergeRanges, splitRange } from '../ranges.ts';
import { KiB, MiB } from '../units.ts';

/** Bytes of the image, `[start, end)`, and where in the part they go: as they are, or as the cluster that they inflate to. */
export interface Piece extends ByteRange {
  readonly kind: 'plain' | 'deflate';
  /** Offset in the part, in bytes. */
  readonly at: number;
  /** Bytes in the part; for a plain piece as many as in the image. */
  readonly length: number;
}

/** One request, and the pieces that it brings. */
export interface ReadPlan extends ByteRange {
  readonly members: readonly Piece[];
}

/** Joining over a gap costs its transfer, a request of its own about 20 ms: at 78 MB/s they are even near 1 MiB. */
const READ_LIMITS: MergeLimits = { maxGap: 256 * KiB, maxLength: 8 * MiB };

/**
 * Plans the fewest reads for a stretch of disk: what the extents name, sorted by host offset, joined over small gaps.
 * Bytes that the file does not have are left out: the part starts as zeros.
 *
 * @param part Guest bytes; extents outside of it are clipped, compressed ones at its end only.
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
  const { clusterSize } = extent;
  return extent.clusters.flatMap(({ host, length }, i) => {
    const start = extent.start + i * clusterSize;
    const end = Math.min(start + clusterSize, extent.end, part.end);
    if (start < part.start || start >= end) return [];
    return [{ kind: 'deflate' as const, start: host, end: host + length, at: start - part.start, length: end - start }];
  });
}
