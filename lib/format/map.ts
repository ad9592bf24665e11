import type { ByteRange } from '../ranges.ts';
import type { Extent } from './extent.ts';
import { isEncrypted } from './geometry.ts';
import type { DiskBatch, Layer } from './layer.ts';

/** An entry as `qemu-img map --output=json` prints it (`compressed` from QEMU 8.2 on). */
export interface MapEntry {
  readonly start: number;
  readonly length: number;
  /** How many files down the chain the bytes lie. */
  readonly depth: number;
  /** Whether any file of the chain has them; else they are zeros since nothing says otherwise. */
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly compressed: boolean;
  /** Host offset. Missing for compressed clusters and in encrypted files: their bytes cannot be read as they lie. */
  readonly offset?: number;
}

/**
 * Turns a disk's extents into entries, joining neighbours as `qemu-img` does: same flags, and offsets that continue.
 *
 * @param layers The disk's.
 */
export async function* mapEntries(
  batches: AsyncIterable<DiskBatch>,
  layers: readonly Pick<Layer, 'map'>[],
): AsyncGenerator<MapEntry> {
  const encrypted = layers.map(({ map }) => isEncrypted(map.geometry));
  let open: MapEntry | undefined;
  for await (const { layer, extents } of batches) {
    for (const extent of extents) {
      const next = asEntry(extent, layer, encrypted[layer] === true);
      if (open && continues(open, next)) {
        open = { ...open, length: open.length + next.length };
        continue;
      }
      if (open) yield open;
      open = next;
    }
  }
  if (open) yield open;
}

function asEntry(extent: Extent, depth: number, encrypted: boolean): MapEntry {
  const base = { ...spanOf(extent), depth };
  // Of encrypted files no offset is told, not even of zeros.
  const place = 'host' in extent && !encrypted ? at(extent.host) : {};
  switch (extent.kind) {
    case 'unallocated':
      return { ...base, present: false, zero: true, data: false, compressed: false, ...place };
    case 'zero':
      return { ...base, present: true, zero: true, data: false, compressed: false, ...place };
    case 'data':
      return { ...base, present: true, zero: false, data: true, compressed: false, ...place };
    case 'lost':
      return { ...base, present: true, zero: true, data: false, compressed: false };
    case 'compressed':
      return { ...base, present: true, zero: false, data: true, compressed: true };
  }
}

const spanOf = ({ start, end }: ByteRange) => ({ start, length: end - start });
const at = (offset: number | undefined) => (offset === undefined ? {} : { offset });

function continues(left: MapEntry, right: MapEntry): boolean {
  const sameKind =
    left.depth === right.depth &&
    left.present === right.present &&
    left.zero === right.zero &&
    left.data === right.data &&
    left.compressed === right.compressed;
  if (!sameKind) return false;
  return left.offset === undefined ? right.offset === undefined : right.offset === left.offset + left.length;
}
