import { type ErrorCode, UnqcowError } from '../../errors.ts';
import type { ByteRange } from '../../ranges.ts';
import { zeroPadded } from '../../source/zero-padded.ts';
import { readBitmaps } from '../bitmaps.ts';
import { CRYPTO_EXTENSION, lastOf } from '../extensions.ts';
import { clusterSizeOf } from '../geometry.ts';
import type { Image } from '../image.ts';
import { FORMAT_LIMITS } from '../limits.ts';
import { SNAPSHOT_HEADER_BYTES, saysDiskSize } from '../snapshot-record.ts';
import { checkSnapshotTable, SnapshotTable } from '../snapshot-table.ts';
import { readStruct, viewOf } from '../struct.ts';
import { USE } from './cluster-window.ts';
import type { Findings } from './findings.ts';
import { spanAt } from './overlay.ts';

/** Bytes of the file that one structure takes, and what that is. */
export interface Region extends ByteRange {
  readonly use: number;
  /** Where it is named, for messages. */
  readonly at: string;
}

/** What the image has in one piece each, and tables of entries that name more. */
export interface Owned {
  readonly regions: readonly Region[];
  readonly activeL1: ByteRange;
  /** Where snapshots have their L1 tables: the same place for several, it may be. */
  readonly inactiveL1: readonly ByteRange[];
  readonly bitmapTables: readonly ByteRange[];
  readonly snapshots: number;
  readonly bitmaps: number;
}

/**
 * Finds what an image owns besides L2 tables, refcount blocks and data. Reads the snapshot table and the bitmap
 * directory, where there are any: as `SnapshotTable.read` and `readBitmaps` do. What is wrong with them is found.
 */
export async function findOwned(image: Image, findings: Findings, signal?: AbortSignal): Promise<Owned> {
  const { header, geometry } = image;
  const clusterSize = clusterSizeOf(geometry);
  const snapshots = await snapshotsOf(image, findings, signal);
  const bitmaps = await bitmapsOf(image, findings, signal);
  const activeL1 = spanAt(header.l1TableOffset, header.l1Size * 8);
  const table = spanAt(header.refcountTableOffset, header.refcountTableClusters * clusterSize);
  const fixed: Region[] = [
    { use: USE.header, at: 'header', start: 0, end: clusterSize },
    { use: USE.activeL1, at: 'header.l1_table_offset', ...activeL1 },
    { use: USE.refcountTable, at: 'header.refcount_table_offset', ...table },
    ...encryptionHeader(image),
  ];
  return {
    activeL1,
    regions: [...fixed, ...snapshots.regions, ...bitmaps.regions].filter(({ start, end }) => start < end),
    inactiveL1: snapshots.l1,
    bitmapTables: bitmaps.tables,
    snapshots: snapshots.count,
    bitmaps: bitmaps.count,
  };
}

function encryptionHeader({ extensions }: Image): Region[] {
  const extension = lastOf(extensions, 'encryption header');
  if (!extension) return [];
  const { offset, length } = readStruct(viewOf(extension.data), CRYPTO_EXTENSION);
  // QEMU takes lengths past 2^63 for none.
  const bytes = length < 2n ** 63n ? Number(length) : 0;
  return [{ use: USE.encryptionHeader, at: 'header.extensions.crypto', ...spanAt(offset, bytes) }];
}

interface Snapshots {
  readonly count: number;
  readonly regions: readonly Region[];
  readonly l1: readonly ByteRange[];
}

async function snapshotsOf(image: Image, findings: Findings, signal?: AbortSignal): Promise<Snapshots> {
  const { header, dataFile } = image;
  const table = await readTable(image, findings, signal);
  if (!table || table.count === 0) return { count: 0, regions: [], l1: [] };
  if (dataFile) {
    const message = `there are ${table.count} snapshots, though the data lies in another file`;
    findings.add('SNAPSHOTS_WITH_DATA_FILE', () => ({ at: 'header.nb_snapshots', message }));
  }
  const l1: Region[] = [];
  for (let i = 0; i < table.count; i += 1) {
    const parts = table.partsAt(i);
    if (header.version >= 3 && !saysDiskSize(parts)) {
      const message = `the entry has ${parts.extraDataSize} bytes of extra data, and needs 16`;
      findings.add('SNAPSHOT_INCOMPLETE', () => ({ at: `snapshots[${i}].extra_data_size`, message }));
    }
    const place = l1Of(image, table, i, findings);
    if (place) l1.push(place);
  }
  const bytes = Math.max(table.range.end - table.range.start, table.count * SNAPSHOT_HEADER_BYTES);
  const whole = { use: USE.snapshotTable, at: 'header.snapshots_offset', ...spanAt(header.snapshotsOffset, bytes) };
  return { count: table.count, regions: [whole, ...l1], l1 };
}

/** The snapshot table, of which what the file does not have reads as zeros. */
async function readTable(image: Image, findings: Findings, signal?: AbortSignal): Promise<SnapshotTable | undefined> {
  try {
    checkSnapshotTable(image.header, Number.POSITIVE_INFINITY);
    if (image.header.nbSnapshots === 0) return undefined;
    return await SnapshotTable.read(zeroPadded(image.source), image.header, signal);
  } catch (error) {
    if (!(error instanceof UnqcowError && TABLE_FAULTS.has(error.code))) throw error;
    const at = error.at ?? 'header.snapshots_offset';
    findings.add('SNAPSHOTS_UNREADABLE', () => ({ at, message: error.message }));
    return undefined;
  }
}

const TABLE_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'SNAPSHOT_TABLE_TOO_LARGE',
  'BAD_SNAPSHOT_TABLE',
  'SNAPSHOT_TABLE_BEYOND_EOF',
  'SNAPSHOT_EXTRA_TOO_LARGE',
]);

function l1Of(image: Image, table: SnapshotTable, index: number, findings: Findings): Region | undefined {
  const { l1TableOffset: offset, l1Size } = table.at(index);
  const at = `snapshots[${index}].l1`;
  const bad = (message: string) => findings.add('BAD_SNAPSHOT_L1', () => ({ at, message }));
  if (offset % BigInt(clusterSizeOf(image.geometry)) !== 0n) {
    bad(`the L1 table at ${offset} does not start on a cluster`);
  } else if (l1Size * 8 > FORMAT_LIMITS.maxL1Bytes) {
    bad(`an L1 table of ${l1Size} entries is more than 32 MiB`);
  } else {
    if (offset > FORMAT_LIMITS.maxRead && l1Size > 0) {
      findings.add('SNAPSHOTS_UNREADABLE', () => ({ at, message: `no file has an L1 table at ${offset}` }));
    }
    return { use: USE.inactiveL1, at, ...spanAt(offset, l1Size * 8) };
  }
  return undefined;
}

interface Bitmaps {
  readonly count: number;
  readonly regions: readonly Region[];
  readonly tables: readonly ByteRange[];
}

/** Bitmaps that are stale own nothing: their space may be in other use. */
async function bitmapsOf(image: Image, findings: Findings, signal?: AbortSignal): Promise<Bitmaps> {
  if (!image.features.bitmaps) return { count: 0, regions: [], tables: [] };
  const { bitmaps, directory } = await readBitmaps(image, { signal });
  const at = 'header.extensions.bitmaps';
  const fault = image.warnings.list().find(({ code }) => code === 'BITMAPS_INVALID');
  if (fault) findings.add('BITMAPS_UNREADABLE', () => ({ at, message: fault.message }));
  const tables = bitmaps.map(({ tableOffset, tableSize }, i): Region => {
    return { use: USE.bitmapTable, at: `bitmaps[${i}].table`, ...spanAt(tableOffset, tableSize * 8) };
  });
  const own = directory ? [{ use: USE.bitmapDirectory, at, ...directory }] : [];
  return { count: bitmaps.length, regions: [...own, ...tables], tables };
}
