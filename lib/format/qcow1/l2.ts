import { UnqcowError } from '../../errors.ts';
import type { CompressedCluster, ExtentJoiner } from '../extent.ts';
import { addPlain, beyondFile, type DecodeContext, decoderFor, type L2Entry, placeOf } from '../l2-entry.ts';
import type { L2Run } from '../walk.ts';
import { QCOW1_COMPRESSED, qcow1OffsetOf, qcow1StreamOf } from './entries.ts';
import { L2_ENTRY_BYTES, type Qcow1Geometry } from './geometry.ts';

export interface Qcow1Context extends DecodeContext {
  readonly geometry: Qcow1Geometry;
}

/**
 * Decodes L2 entries into extents. An entry is 0 for what is not allocated, else a data cluster's host offset, all 63
 * bits of it; or, with bit 63, a stream's length in bytes and its host offset. An entry is taken as two u32, since what
 * lies past the file is refused before it would lose digits. With `salvage`, an entry that would be refused is a lost cluster.
 *
 * @throws UnqcowError `CLUSTER_UNALIGNED`, `CLUSTER_BEYOND_EOF`, `DECOMPRESS_SHORT` at `l2[i][j]`.
 */
export function decodeQcow1L2(
  { entries, l1Index, first, guest }: L2Run,
  context: Qcow1Context,
  into: ExtentJoiner,
): void {
  const { clusterBits, diskSize } = context.geometry;
  const clusterSize = 2 ** clusterBits;
  const decode = decoderFor(decodeEntry, context);
  let start = guest;
  let index = first;
  for (let at = 0; at < entries.byteLength; at += L2_ENTRY_BYTES, index += 1) {
    const [hi, lo] = [entries.getUint32(at), entries.getUint32(at + 4)];
    const entry: L2Entry = { hi, lo, start, end: Math.min(start + clusterSize, diskSize), l1Index, index };
    decode(entry, context, into);
    start += clusterSize;
  }
}

function decodeEntry(entry: L2Entry, context: Qcow1Context, into: ExtentJoiner): void {
  const { hi, lo, start, end } = entry;
  if ((hi & QCOW1_COMPRESSED) !== 0) {
    into.compressed(start, end, 2 ** context.geometry.clusterBits, compressed(entry, context));
  } else if (hi === 0 && lo === 0) {
    into.unallocated(start, end);
  } else {
    const host = qcow1OffsetOf(hi, lo);
    // A data cluster starts on a sector, not on a cluster.
    if ((lo & 0x1ff) !== 0) {
      throw new UnqcowError('CLUSTER_UNALIGNED', `the cluster at ${host} does not start on a sector`, {
        at: placeOf(entry),
      });
    }
    addPlain(into, start, end, host, entry, context);
  }
}

/** A stream's length is exact, so what the file lacks of it is missing. */
function compressed(entry: L2Entry, { geometry, fileSize }: Qcow1Context): CompressedCluster {
  const { host, length } = qcow1StreamOf(entry.hi, entry.lo, geometry.clusterBits);
  if (host + length > fileSize) throw beyondFile(host, fileSize, entry);
  if (length === 0) throw empty(host, placeOf(entry));
  return { host, length };
}

/** Nothing would be read for it, and so nothing would notice that there is nothing to inflate. */
function empty(host: number, at: string): UnqcowError {
  return new UnqcowError('DECOMPRESS_SHORT', `the compressed cluster at ${host} has no bytes`, { at });
}
