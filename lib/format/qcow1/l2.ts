import { UnqcowError, type Warning } from '../../errors.ts';
import type { ExtentJoiner } from '../extent.ts';
import type { L2Run } from '../l2.ts';
import { L2_ENTRY_BYTES, type Qcow1Geometry } from './geometry.ts';

export interface Qcow1Context {
  readonly geometry: Qcow1Geometry;
  readonly fileSize: number;
  readonly warn: (warning: Warning) => void;
}

const COMPRESSED = 0x80000000;

/**
 * Decodes L2 entries into extents. An entry is 0 for what is not allocated, else a data cluster's host offset, all 63
 * bits of it; or, with bit 63, a stream's length in bytes and its host offset. An entry is taken as two u32, since what
 * lies past the file is refused before it would lose digits.
 *
 * @throws UnqcowError `CLUSTER_UNALIGNED`, `CLUSTER_BEYOND_EOF` at `l2[i][j]`.
 */
export function decodeQcow1L2(
  { table, l1Index, from, to, guest }: L2Run,
  context: Qcow1Context,
  into: ExtentJoiner,
): void {
  const { clusterBits, diskSize } = context.geometry;
  const clusterSize = 2 ** clusterBits;
  const offsetHiBits = 31 - clusterBits; // bits of a compressed entry's offset that lie in the upper half
  const offsetHiMask = 2 ** offsetHiBits - 1;
  let start = guest;
  for (let index = from; index < to; index += 1) {
    const hi = table.getUint32(index * L2_ENTRY_BYTES);
    const lo = table.getUint32(index * L2_ENTRY_BYTES + 4);
    const end = Math.min(start + clusterSize, diskSize);
    if ((hi & COMPRESSED) !== 0) {
      const host = (hi & offsetHiMask) * 2 ** 32 + lo;
      const length = (hi & 0x7fffffff) >>> offsetHiBits;
      // The length is exact, unlike version 2's: what the file lacks of it is missing.
      if (host + length > context.fileSize) throw beyond(context, host, `l2[${l1Index}][${index}]`);
      into.compressed(start, end, clusterSize, { host, length });
    } else if (hi === 0 && lo === 0) {
      into.unallocated(start, end);
    } else {
      const host = hi * 2 ** 32 + lo;
      checkData(context, lo, host, end - start, l1Index, index);
      into.data(start, end, host);
    }
    start += clusterSize;
  }
}

/** A data cluster starts on a sector, not on a cluster. Its end may be missing, unless there is something to decrypt. */
function checkData(context: Qcow1Context, lo: number, host: number, length: number, l1Index: number, index: number) {
  const { geometry, fileSize, warn } = context;
  if ((lo & 0x1ff) !== 0) {
    throw new UnqcowError('CLUSTER_UNALIGNED', `the cluster at ${host} does not start on a sector`, {
      at: `l2[${l1Index}][${index}]`,
    });
  }
  if (host + length <= fileSize) return;
  const at = `l2[${l1Index}][${index}]`;
  if (host >= fileSize || geometry.encrypted) throw beyond(context, host, at);
  warn({ code: 'TAIL_ZERO_PADDED', message: `the file ends inside the cluster at ${host}`, at });
}

function beyond({ fileSize }: Qcow1Context, host: number, at: string): UnqcowError {
  const message = `the cluster at ${host} lies past the file's ${fileSize} bytes`;
  return new UnqcowError('CLUSTER_BEYOND_EOF', message, { at });
}
