import { UnqcowError, type Warning } from '../errors.ts';
import type { CompressedCluster, ExtentJoiner } from './extent.ts';
import { clusterSizeOf, l2EntryBytesOf, type Qcow2Geometry, SUBCLUSTERS } from './geometry.ts';

/** A run of entries of one L2 table. */
export interface L2Run {
  readonly table: DataView;
  /** Its index in the L1 table, for messages. */
  readonly l1Index: number;
  /** Entries `[from, to)` of it. */
  readonly from: number;
  readonly to: number;
  /** Guest offset of the first of these entries. */
  readonly guest: number;
}

export interface L2Context {
  readonly geometry: Qcow2Geometry;
  /** Length of the file that holds the clusters, in bytes. */
  readonly fileSize: number;
  readonly warn: (warning: Warning) => void;
}

const COPIED = 0x80000000;
const COMPRESSED = 0x40000000;

/**
 * Decodes L2 entries into extents. An entry is taken as u32s: at 800 million entries a bigint each is too slow, and what
 * lies past the file is refused before it would lose digits.
 *
 * @throws UnqcowError `CLUSTER_UNALIGNED`, `CLUSTER_BEYOND_EOF`, `ZERO_FLAG_IN_V2`, `INVALID_SUBCLUSTER`,
 * `COMPRESSED_IN_DATA_FILE`, `DATA_FILE_OFFSET_MISMATCH` at `l2[i][j]`.
 * @see qcow2.rst § Cluster mapping, L2 table entry; § Extended L2 entries
 */
export function decodeL2({ table, l1Index, from, to, guest }: L2Run, context: L2Context, into: ExtentJoiner): void {
  const { geometry } = context;
  const { diskSize, extendedL2 } = geometry;
  const clusterSize = clusterSizeOf(geometry);
  const entryBytes = l2EntryBytesOf(geometry);
  let start = guest;
  for (let index = from; index < to; index += 1) {
    const at = index * entryBytes;
    const hi = table.getUint32(at);
    const lo = table.getUint32(at + 4);
    const end = Math.min(start + clusterSize, diskSize);
    const entry: Entry = { hi, lo, start, end, l1Index, index };
    if ((hi & COMPRESSED) !== 0) {
      into.compressed(start, end, clusterSize, streamOf(entry, context));
      if (extendedL2 && (table.getUint32(at + 8) | table.getUint32(at + 12)) !== 0) {
        warn(context, 'SUBCLUSTERS_ON_COMPRESSED', 'subcluster bits of a compressed cluster do not apply', entry);
      }
    } else if (extendedL2) {
      subclusters(entry, table.getUint32(at + 8), table.getUint32(at + 12), context, into);
    } else {
      cluster(entry, context, into);
    }
    start += clusterSize;
  }
}

interface Entry {
  readonly hi: number;
  readonly lo: number;
  /** Guest bytes of its cluster, cut off at the disk's end. */
  readonly start: number;
  readonly end: number;
  readonly l1Index: number;
  readonly index: number;
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
    checkBytes(host, end - start, entry, context);
    into.data(start, end, host);
  }
}

/** Each 32nd of the cluster by its two bits. Bit 0 of the entry is not the zero flag here. */
function subclusters(
  entry: Entry,
  zeroBits: number,
  allocatedBits: number,
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
      checkBytes(there, end - start, entry, context);
      into.data(start, end, there);
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
  const host = (hi & 0x00ffffff) * 2 ** 32 + ((lo & 0xfffffe00) >>> 0);
  if ((hi & 0x3f000000) !== 0 || (lo & 0x1fe) !== 0) warn(context, 'L2E_RESERVED_BITS', 'reserved bits are set', entry);
  if (host % clusterSizeOf(geometry) !== 0) {
    throw refusal('CLUSTER_UNALIGNED', `the cluster at ${host} does not start on a cluster`, entry);
  }
  if (!geometry.dataFile) return host === 0 ? undefined : host;
  // In a data file offset 0 is a place like any other; then the copied flag says that it is allocated.
  if (host === 0 && (hi & COPIED) === 0) return undefined;
  if (host !== start)
    throw refusal('DATA_FILE_OFFSET_MISMATCH', `the cluster of ${start} lies at ${host} of the data file`, entry);
  return host;
}

function streamOf(entry: Entry, context: L2Context): CompressedCluster {
  const { hi, lo } = entry;
  const { geometry, fileSize } = context;
  if (geometry.dataFile) throw refusal('COMPRESSED_IN_DATA_FILE', 'a data file has no compressed clusters', entry);
  const hiBits = 70 - geometry.clusterBits - 32; // bits of the offset that lie in the upper half
  const host = (hi & (2 ** hiBits - 1)) * 2 ** 32 + lo;
  const sectors = (hi & 0x3fffffff) >>> hiBits;
  if (host >= fileSize) throw beyond(host, entry, context);
  if ((hi & COPIED) !== 0)
    warn(context, 'COPIED_ON_COMPRESSED', 'the copied flag is set on a compressed cluster', entry);
  // Streams are counted in sectors, so the last one may reach past what the file has.
  return { host, length: Math.min((sectors + 1) * 512 - (host % 512), fileSize - host) };
}

/** The bytes must start within the file; that less than a cluster of them is missing is a warning. */
function checkBytes(host: number, length: number, entry: Entry, context: L2Context): void {
  if (host + length <= context.fileSize) return;
  if (host >= context.fileSize || context.geometry.encrypted) throw beyond(host, entry, context);
  warn(context, 'TAIL_ZERO_PADDED', `the file ends inside the cluster at ${host}`, entry);
}

function warnIfBeyond(host: number, entry: Entry, context: L2Context): void {
  if (host < context.fileSize) return;
  warn(context, 'ZERO_CLUSTER_BEYOND_EOF', `a cluster without data at ${host} lies past the end`, entry);
}

const placeOf = ({ l1Index, index }: Entry) => `l2[${l1Index}][${index}]`;

function warn(context: L2Context, code: Warning['code'], message: string, entry: Entry): void {
  context.warn({ code, message, at: placeOf(entry) });
}

function refusal(code: UnqcowError['code'], message: string, entry: Entry): UnqcowError {
  return new UnqcowError(code, message, { at: placeOf(entry) });
}

function beyond(host: number, entry: Entry, { fileSize }: L2Context): UnqcowError {
  return refusal('CLUSTER_BEYOND_EOF', `the cluster at ${host} lies past the file's ${fileSize} bytes`, entry);
}
