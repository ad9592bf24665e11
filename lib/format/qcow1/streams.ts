import { coalesced } from '../../source/coalesced.ts';
import { CHECK_MEMORY, type CheckOptions } from '../check/check-image.ts';
import { l2Tables } from '../check/l2-tables.ts';
import { spanAt } from '../check/overlay.ts';
import { assertWork, readTables, TABLES_TOGETHER, tablesAtATime } from '../check/read-tables.ts';
import type { Stream } from '../check/streams.ts';
import { qcow1Entries, qcow1OffsetOf } from './entries.ts';
import { L2_ENTRY_BYTES, l2BytesNeeded, l2BytesOf, l2TablesOf } from './geometry.ts';
import type { Qcow1Image } from './image.ts';

/** Finds every compressed cluster, an L2 table's at a time. Costs what a walk of `checkQcow1` does. */
export async function* qcow1Streams(
  { geometry, source, header, fileSize }: Qcow1Image,
  { memory = CHECK_MEMORY, signal }: CheckOptions = {},
): AsyncGenerator<readonly Stream[]> {
  const l1 = { active: spanAt(header.l1TableOffset, l2TablesOf(geometry) * L2_ENTRY_BYTES), inactive: [] };
  const bytes = l2BytesOf(geometry);
  const read = coalesced(source, TABLES_TOGETHER);
  let count = 0;
  for await (const tables of l2Tables(source, l1, { most: tablesAtATime(memory), offsetOf: qcow1OffsetOf, signal })) {
    count += tables.length;
    assertWork(count, count * bytes, fileSize);
    for await (const [{ l1Index = 0 }, view] of readTables(read, tables, { bytes, signal })) {
      const entries = [...qcow1Entries(view, l2BytesNeeded(geometry, l1Index), geometry)];
      const streams = entries.filter(({ isCompressed }) => isCompressed);
      if (streams.length > 0) {
        yield streams.map(({ index, host, length }) => ({ host, length, at: `l2[${l1Index}][${index}]` }));
      }
    }
  }
}
