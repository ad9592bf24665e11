import type { Warning } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';
import type { ByteSource } from '../source/byte-source.ts';
import type { Extent, ExtentJoiner } from './extent.ts';
import { clusterSizeOf, l2CoverageOf, l2EntryBytesOf, type Qcow2Geometry } from './geometry.ts';
import { decodeL2, type L2Context } from './l2.ts';
import type { MetadataPlaces } from './overlaps.ts';
import { type L2Run, type L2Tables, type TableLayout, walk } from './walk.ts';

/** All that is needed to find an image's guest bytes, without reading a header or an L1 table again. */
export interface Qcow2Map extends L2Tables {
  readonly geometry: Qcow2Geometry;
}

export interface ExtentOptions {
  readonly signal?: AbortSignal | undefined;
  readonly warn?: (warning: Warning) => void;
  /** Length of the file that holds the clusters, where it is not the image itself. */
  readonly dataSize?: number | undefined;
  /** What damage there is in the tables, where it is to be passed over: what it hits is then `lost`. */
  readonly salvage?: Salvage | undefined;
}

/** How an image is read as far as it goes. */
export interface Salvage {
  readonly damageOf: NonNullable<TableLayout['damageOf']>;
  /** Where data cannot lie, if it lies in the same file. */
  readonly places: MetadataPlaces | undefined;
}

/**
 * Walks the guest disk in order and says what each stretch is made of. Neighbours of one kind come out as one, except
 * that a compressed extent ends with the window of tables that it was read in. Comes in batches, for speed.
 *
 * Reads each L2 table once — one cluster per `clusterSize² / 8` bytes of disk: 64 KiB per 512 MiB — or what of it maps the
 * range; neighbouring tables by one request, at most 16 requests and 32 MiB at a time; and no guest data.
 *
 * @param range Guest bytes that `map` covers; starts and ends on a cluster, or at the disk's end.
 * @throws UnqcowError as `decodeL2` and the source do.
 * @see qcow2.rst § Cluster mapping
 */
export function extentBatches(
  source: ByteSource,
  map: Qcow2Map,
  range: ByteRange,
  { signal, warn = () => {}, dataSize = source.size, salvage }: ExtentOptions = {},
): AsyncGenerator<Extent[]> {
  const { geometry } = map;
  const context: L2Context = { geometry, fileSize: dataSize, warn, salvage: salvage !== undefined };
  const layout = {
    clusterSize: clusterSizeOf(geometry),
    entryBytes: l2EntryBytesOf(geometry),
    coverage: l2CoverageOf(geometry),
    decode: (run: L2Run, into: ExtentJoiner) => decodeL2(run, context, into),
    damageOf: salvage?.damageOf,
  };
  return walk(source, [map], range, layout, signal);
}
