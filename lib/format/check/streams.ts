import { coalesced } from '../../source/coalesced.ts';
import { COMPRESSED, hostOffsetOf, streamOf } from '../entry-bits.ts';
import { clusterSizeOf, l2EntryBytesOf } from '../geometry.ts';
import type { Image } from '../image.ts';
import { CHECK_MEMORY, type CheckOptions } from './check-image.ts';
import { Findings } from './findings.ts';
import { placeOf } from './l2-entries.ts';
import { l2Tables } from './l2-tables.ts';
import { findOwned } from './owned.ts';
import { assertWork, readTables, TABLES_TOGETHER, tablesAtATime } from './read-tables.ts';

/** A compressed cluster's bytes in the file. The file may end before they do. */
export interface Stream {
  readonly host: number;
  readonly length: number;
  /** The entry that names it. */
  readonly at: string;
}

/**
 * Finds every compressed cluster of the active disk and of all snapshots, an L2 table's at a time. Costs what a walk of
 * `checkImage` does, without the refcount blocks.
 *
 * @throws UnqcowError `CHECK_LIMIT`.
 */
export async function* compressedStreams(
  image: Image,
  { memory = CHECK_MEMORY, signal }: CheckOptions = {},
): AsyncGenerator<readonly Stream[]> {
  const { geometry, fileSize } = image;
  if (geometry.dataFile) return;
  const { activeL1, inactiveL1 } = await findOwned(image, new Findings(), signal);
  const source = coalesced(image.source, TABLES_TOGETHER);
  const bytes = clusterSizeOf(geometry);
  const l1 = { active: activeL1, inactive: inactiveL1 };
  const entryBytes = l2EntryBytesOf(geometry);
  let count = 0;
  for await (const tables of l2Tables(image.source, l1, {
    most: tablesAtATime(memory),
    offsetOf: hostOffsetOf,
    signal,
  })) {
    count += tables.length;
    assertWork(count, count * bytes, fileSize);
    for await (const [table, view] of readTables(source, tables, { bytes, signal })) {
      const streams: Stream[] = [];
      for (let index = 0, at = 0; at < view.byteLength; index += 1, at += entryBytes) {
        const hi = view.getUint32(at);
        if ((hi & COMPRESSED) === 0) continue;
        const place = placeOf(table, { index, at });
        streams.push({ ...streamOf(hi, view.getUint32(at + 4), geometry.clusterBits), at: place });
      }
      if (streams.length > 0) yield streams;
    }
  }
}
