import type { ByteRange } from '../../ranges.ts';
import type { ByteSource } from '../../source/byte-source.ts';
import type { Extent, ExtentJoiner } from '../extent.ts';
import type { ExtentOptions } from '../extents.ts';
import { type L2Run, walk } from '../walk.ts';
import { L2_ENTRY_BYTES, l2CoverageOf } from './geometry.ts';
import { l2Windows, type Qcow1Map } from './l1.ts';
import { decodeQcow1L2, type Qcow1Context } from './l2.ts';

/**
 * Walks the guest disk in order and says what each stretch is made of, as `extentBatches` does for versions 2 and 3.
 * There are no zero clusters in version 1.
 *
 * Reads each L2 table once — `2^(l2Bits + 3)` bytes per `2^(clusterBits + l2Bits)` of disk: 4 KiB per 2 MiB by the usual
 * sizes — neighbouring tables by one request, at most 16 requests and 32 MiB at a time; the L1 table, if it is not in the map, 1 MiB at a
 * time; and no guest data.
 *
 * @param range Guest bytes that `map` covers; starts and ends on a cluster, or at the disk's end.
 * @throws UnqcowError as `decodeQcow1L2`, `l2Windows` and the source do.
 */
export function qcow1Batches(
  source: ByteSource,
  map: Qcow1Map,
  range: ByteRange,
  { signal, warn = () => {}, salvage }: ExtentOptions = {},
): AsyncGenerator<Extent[]> {
  const { geometry } = map;
  const isSalvage = salvage !== undefined;
  const context: Qcow1Context = { geometry, fileSize: source.size, warn, salvage: isSalvage };
  const layout = {
    clusterSize: 2 ** geometry.clusterBits,
    entryBytes: L2_ENTRY_BYTES,
    coverage: l2CoverageOf(geometry),
    decode: (run: L2Run, into: ExtentJoiner) => decodeQcow1L2(run, context, into),
    damageOf: salvage?.damageOf,
  };
  const tables = 'l2Offsets' in map ? [map] : l2Windows(map.image, range, { signal, warn, salvage: isSalvage });
  return walk(source, tables, range, layout, signal);
}
