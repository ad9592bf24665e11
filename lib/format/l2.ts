import { UnqcowError, type Warning } from '../errors.ts';
import { COMPRESSED, COPIED, streamOf } from './entry-bits.ts';
import type { CompressedCluster, ExtentJoiner } from './extent.ts';
import { clusterSizeOf, l2EntryBytesOf, type Qcow2Geometry, SUBCLUSTERS } from './geometry.ts';
import { addPlain, beyondFile, type DecodeContext, decoderFor, type L2Entry, placeOf } from './l2-entry.ts';
import type { L2Run } from './walk.ts';

export interface L2Context extends DecodeContext {
  readonly geometry: Qcow2Geometry;
}

/**
 * Decodes L2 entries into extents. An entry is taken as u32s: at 800 million entries a bigint each is too slow, and what
 * lies past the file is refused before it would lose digits.
 *
 * With `salvage`, an entry that would be refused is a lost cluster; where the file ends inside a cluster, the rest of it is.
 *
 * @throws UnqcowError `CLUSTER_UNALIGNED`, `CLUSTER_BEYOND_EOF`, `ZERO_FLAG_IN_V2`, `INVALID_SUBCLUSTER`,
 * `COMPRESSED_IN_DATA_FILE`, `DATA_FILE_OFFSET_MISMATCH` at `l2[i][j]`.
 * @see qcow2.rst § Cluster mapping, L2 table entry; § Extended L2 entries
 */
export function decodeL2({ entries, l1Index, first, guest }: L2Run, context: L2Context, into: ExtentJoiner): void {
  const { geometry } = context;
  const { diskSize, extendedL2 } = geometry;
  const clusterSize = clusterSizeOf(geometry);
  const entryBytes = l2EntryBytesOf(geometry);
  const decode = decoderFor(decodeEntry, context);
  let start = guest;
  let index = first;
  for (let at = 0; at < entries.byteLength; at += entryBytes, index += 1) {
    const hi = entries.getUint32(at);
    const lo = entries.getUint32(at + 4);
    const end = Math.min(start + clusterSize, diskSize);
    const bits = extendedL2 ? ([entries.getUint32(at + 8), entries.getUint32(at + 12)] as const) : undefined;
    const entry: Entry = { hi, lo, bits, start, end, l1Index, index };
    decode(entry, context, into);
    start += clusterSize;
  }
}

function decodeEntry(entry: Entry, context: L2Context, into: ExtentJoiner): void {
  const { hi, start, end, bits } = entry;
  if ((hi & COMPRESSED) !== 0) {
    into.compressed(start, end, clusterSizeOf(context.geometry), compressed(entry, context));
    if (bits && (bits[0] | bits[1]) !== 0) {
      warn(context, 'SUBCLUSTERS_ON_COMPRESSED', 'subcluster bits of a compressed cluster do not apply', entry);
    }
  } else if (bits) {
    subclusters(entry, bits, context, into);
  } else {
    cluster(entry, context, into);
  }
}

interface Entry extends L2Entry {
  /** Of an extended entry: which subclusters are zeros, and which are allocated. */
  readonly bits: readonly [zero: number, allocated: number] | undefined;
}

function cluster(entry: Entry, context: L2Context, into: ExtentJoiner): void {
  const { start, end } = entry;
  const host = hostOf(entry, context);
  if ((entry.lo & 1) !== 0) {
    if (context.geometry.version === 2) throw refusal('ZERO_FLAG_IN_V2', 'version 2 has no zero clusters', entry);
    if (host !== undefined) warnIfBeyond(host, entry, context);
    into.zero(start, end, host);
  } else if (host === undefined) {
    into.unallocated(start, end);
  } else {
    addPlain(into, start, end, host, entry, context);
  }
}

/** Each 32nd of the cluster by its two bits. Bit 0 of the entry is not the zero flag here. */
function subclusters(
  entry: Entry,
  [zeroBits, allocatedBits]: NonNullable<Entry['bits']>,
  context: L2Context,
  into: ExtentJoiner,
): void {
  const host = hostOf(entry, context);
  if ((entry.lo & 1) !== 0) warn(context, 'ZERO_BIT_WITH_SUBCLUSTERS', 'the zero flag does not apply', entry);
  if ((zeroBits & allocatedBits) !== 0)
    throw refusal('INVALID_SUBCLUSTER', 'a subcluster is both allocated and zero', entry);
  if (host === undefined && allocatedBits !== 0) {
    throw refusal('INVALID_SUBCLUSTER', 'subclusters are allocated, but the cluster is not', entry);
  }
  if (host !== undefined && allocatedBits === 0) warnIfBeyond(host, entry, context);
  const size = clusterSizeOf(context.geometry) / SUBCLUSTERS;
  for (let i = 0; i < SUBCLUSTERS && entry.start + i * size < entry.end; i += 1) {
    const start = entry.start + i * size;
    const end = Math.min(start + size, entry.end);
    const there = host === undefined ? undefined : host + i * size;
    if (((allocatedBits >>> i) & 1) !== 0 && there !== undefined) {
      addPlain(into, start, end, there, entry, context);
    } else if (((zeroBits >>> i) & 1) !== 0) {
      into.zero(start, end, there);
    } else {
      into.unallocated(start, end, there);
    }
  }
}

/** Where an uncompressed cluster lies, or nothing if it is not allocated. */
function hostOf(entry: Entry, context: L2Context): number | undefined {
  const { hi, lo, start } = entry;
  const { geometry } = context;
  // `hostOffsetOf` and `hasL2ReservedBits`, written out: this is run 800 million times.
  const host = (hi & 0x00ffffff) * 2 ** 32 + ((lo & 0xfffffe00) >>> 0);
  if ((hi & 0x3f000000) !== 0 || (lo & 0x1fe) !== 0) warn(context, 'L2E_RESERVED_BITS', 'reserved bits are set', entry);
  if (host % clusterSizeOf(geometry) !== 0) {
    throw refusal('CLUSTER_UNALIGNED', `the cluster at ${host} does not start on a cluster`, entry);
  }
  if (!geometry.dataFile) return host === 0 ? undefined : host;
  // In a data file offset 0 is a place like any other; then the copied flag says that it is allocated. Not of zeros.
  const isZero = !geometry.extendedL2 && (lo & 1) !== 0;
  if (host === 0 && (isZero || (hi & COPIED) === 0)) return undefined;
  if (host !== start)
    throw refusal('DATA_FILE_OFFSET_MISMATCH', `the cluster of ${start} lies at ${host} of the data file`, entry);
  return host;
}

function compressed(entry: Entry, context: L2Context): CompressedCluster {
  const { hi, lo } = entry;
  const { geometry, fileSize } = context;
  if (geometry.dataFile) throw refusal('COMPRESSED_IN_DATA_FILE', 'a data file has no compressed clusters', entry);
  const { host, length } = streamOf(hi, lo, geometry.clusterBits);
  if (host >= fileSize) throw beyondFile(host, fileSize, entry);
  if ((hi & COPIED) !== 0)
    warn(context, 'COPIED_ON_COMPRESSED', 'the copied flag is set on a compressed cluster', entry);
  // Streams are counted in sectors, so the last one may reach past what the file has.
  return { host, length: Math.min(length, fileSize - host) };
}

function warnIfBeyond(host: number, entry: Entry, context: L2Context): void {
  if (host < context.fileSize) return;
  warn(context, 'ZERO_CLUSTER_BEYOND_EOF', `a cluster without data at ${host} lies past the end`, entry);
}

function warn(context: L2Context, code: Warning['code'], message: string, entry: Entry): void {
  context.warn({ code, message, at: placeOf(entry) });
}

function refusal(code: UnqcowError['code'], message: string, entry: Entry): UnqcowError {
  return new UnqcowError(code, message, { at: placeOf(entry) });
}
