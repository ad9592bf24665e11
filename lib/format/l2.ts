import { UnqcowError, type Warning } from '../errors.ts';
import type { ExtentJoiner } from './extent.ts';
import { clusterSizeOf, type Geometry, L2_ENTRY_BYTES } from './geometry.ts';

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
  readonly geometry: Geometry;
  readonly fileSize: number;
  readonly warn: (warning: Warning) => void;
}

const COPIED = 0x80000000;
const COMPRESSED = 0x40000000;

/**
 * Decodes L2 entries into extents. An entry is taken as two u32: at 800 million entries a bigint each is too slow, and
 * what lies past the file is refused before it would lose digits.
 *
 * @throws UnqcowError `CLUSTER_UNALIGNED`, `CLUSTER_BEYOND_EOF`, `ZERO_FLAG_IN_V2` at `l2[i][j]`.
 * @see qcow2.rst § Cluster mapping, L2 table entry
 */
export function decodeL2({ table, l1Index, from, to, guest }: L2Run, context: L2Context, into: ExtentJoiner): void {
  const { geometry, fileSize, warn } = context;
  const { clusterBits, diskSize, version } = geometry;
  const clusterSize = clusterSizeOf(geometry);
  const streamHiBits = 70 - clusterBits - 32; // bits of a compressed entry's offset that lie in the upper half
  const streamHiMask = 2 ** streamHiBits - 1;
  const at = (index: number) => `l2[${l1Index}][${index}]`;
  let start = guest;
  for (let index = from; index < to; index += 1) {
    const hi = table.getUint32(index * L2_ENTRY_BYTES);
    const lo = table.getUint32(index * L2_ENTRY_BYTES + 4);
    const end = Math.min(start + clusterSize, diskSize);
    if ((hi & COMPRESSED) !== 0) {
      const host = (hi & streamHiMask) * 2 ** 32 + lo;
      const sectors = (hi & 0x3fffffff) >>> streamHiBits;
      if (host >= fileSize) throw beyond(host, fileSize, at(index));
      if ((hi & COPIED) !== 0) {
        warn({
          code: 'COPIED_ON_COMPRESSED',
          message: 'the copied flag is set on a compressed cluster',
          at: at(index),
        });
      }
      // Streams are counted in sectors, so the last one may reach past what the file has.
      const length = Math.min((sectors + 1) * 512 - (host % 512), fileSize - host);
      into.compressed(start, end, clusterSize, { host, length });
    } else {
      const host = (hi & 0x00ffffff) * 2 ** 32 + ((lo & 0xfffffe00) >>> 0);
      const zero = (lo & 1) === 1;
      if ((hi & 0x3f000000) !== 0 || (lo & 0x1fe) !== 0) {
        warn({ code: 'L2E_RESERVED_BITS', message: 'reserved bits are set', at: at(index) });
      }
      if (zero && version === 2)
        throw new UnqcowError('ZERO_FLAG_IN_V2', 'version 2 has no zero clusters', { at: at(index) });
      if (host % clusterSize !== 0) {
        throw new UnqcowError('CLUSTER_UNALIGNED', `the cluster at ${host} does not start on a cluster`, {
          at: at(index),
        });
      }
      if (zero) {
        if (host >= fileSize) {
          warn({
            code: 'ZERO_CLUSTER_BEYOND_EOF',
            message: `a zero cluster at ${host} lies past the end`,
            at: at(index),
          });
        }
        into.zero(start, end, host === 0 ? undefined : host);
      } else if (host === 0) {
        into.unallocated(start, end);
      } else {
        if (host >= fileSize) throw beyond(host, fileSize, at(index));
        if (host + end - start > fileSize) {
          warn({ code: 'TAIL_ZERO_PADDED', message: `the file ends inside the cluster at ${host}`, at: at(index) });
        }
        into.data(start, end, host);
      }
    }
    start += clusterSize;
  }
}

function beyond(host: number, fileSize: number, at: string): UnqcowError {
  return new UnqcowError('CLUSTER_BEYOND_EOF', `the cluster at ${host} lies past the file's ${fileSize} bytes`, { at });
}
