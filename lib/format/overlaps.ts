import { UnqcowError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import { clip, type Extent } from './extent.ts';

/** Host bytes that hold one of an image's own structures. */
export interface MetadataSpan extends ByteRange {
  readonly name: string;
}

/**
 * Where an image keeps its own structures. A data cluster there would copy them into the guest's disk; QEMU lets it.
 */
export interface MetadataPlaces {
  /** The first of them that has bytes of a range. Logarithmic in their number. */
  overlapOf(range: ByteRange): MetadataSpan | undefined;
}

/** @throws UnqcowError `METADATA_OVERLAP` if the extent's bytes lie on metadata. */
export function assertClear(places: MetadataPlaces, extent: Extent): void {
  for (const { span } of overlaps(places, extent)) throw faultOf(span, extent.start);
}

/**
 * The same extent, without the clusters whose bytes lie on metadata: those are lost. Nothing tells which of the two the
 * bytes are. Linear in the clusters and overlaps.
 */
export function* withoutOverlaps(places: MetadataPlaces, extent: Extent, clusterSize: number): Generator<Extent> {
  let done = extent.start;
  for (const { span, guest } of overlaps(places, extent)) {
    const start = Math.max(done, Math.floor(guest.start / clusterSize) * clusterSize);
    const end = Math.min(extent.end, Math.ceil(guest.end / clusterSize) * clusterSize);
    if (end <= done) continue;
    if (done < start) yield clip(extent, { start: done, end: start });
    const { code, message, at } = faultOf(span, start);
    yield { kind: 'lost', start, end, code, message, at };
    done = end;
  }
  if (done < extent.end) yield done === extent.start ? extent : clip(extent, { start: done, end: extent.end });
}

interface Overlap {
  readonly span: MetadataSpan;
  /** The extent's guest bytes that lie on it; of a stream, its cluster. */
  readonly guest: ByteRange;
}

function* overlaps(places: MetadataPlaces, extent: Extent): Generator<Overlap> {
  if (extent.kind === 'data') {
    const shift = extent.start - extent.host;
    for (let start = extent.start; start < extent.end; ) {
      const span = places.overlapOf({ start: start - shift, end: extent.end - shift });
      if (!span) return;
      const guest = { start: Math.max(start, span.start + shift), end: Math.min(extent.end, span.end + shift) };
      yield { span, guest };
      start = guest.end;
    }
  }
  if (extent.kind !== 'compressed') return;
  const { origin, clusterSize } = extent;
  for (const [i, { host }] of extent.clusters.entries()) {
    // A stream's length may reach over its neighbours; where it starts may not.
    const span = places.overlapOf({ start: host, end: host + 1 });
    const start = origin + i * clusterSize;
    if (span) yield { span, guest: { start, end: start + clusterSize } };
  }
}

function faultOf({ name, start }: MetadataSpan, guest: number): UnqcowError {
  const message = `the data for the disk's bytes from ${guest} on lies on the ${name} at ${start}`;
  return new UnqcowError('METADATA_OVERLAP', message, { at: `disk[${guest}]` });
}
