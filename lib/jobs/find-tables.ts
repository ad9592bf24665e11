import { UnqcowError } from '../errors.ts';
import type { Image } from '../format/image.ts';
import { activeL1, readActiveTables, readL1, tableDamage } from '../format/l1.ts';
import type { Layer } from '../format/layer.ts';
import { assertTablesClear, readMetadata } from '../format/metadata.ts';
import type { MetadataPlaces } from '../format/overlaps.ts';
import type { Qcow1Image } from '../format/qcow1/image.ts';
import { tableDamage as qcow1Damage, readQcow1Map } from '../format/qcow1/l1.ts';
import { fixedSpans, Qcow1Metadata } from '../format/qcow1/metadata.ts';
import { findSnapshot, snapshotDisk } from '../format/snapshot-choice.ts';
import type { SnapshotTable } from '../format/snapshot-table.ts';
import { readSnapshots } from '../format/snapshots.ts';
import { assertOutputFits } from '../plan/s3-limits.ts';
import type { OpenSource } from '../source/byte-source.ts';
import { coalesced } from '../source/coalesced.ts';
import { KiB, MiB } from '../units.ts';

export interface FindOptions {
  /** The id or name of the snapshot that is meant, or its place in the table, instead of the active disk. */
  readonly snapshot?: string | number | undefined;
  /** Only where the bytes lie is asked, not what they are: an encrypted image needs no key. */
  readonly placesOnly?: boolean;
  /** Damage past the header is passed over: what it hits is `lost`, and reads as zeros. */
  readonly salvage?: boolean | undefined;
  /** The most bytes that the disk may have. Whoever writes nothing needs none. */
  readonly outputLimit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What of a layer each version finds in its own way. */
export interface Found extends Pick<Layer, 'map' | 'data' | 'salvage'> {
  /** What lies where in it; nothing for a raw file. */
  readonly metadata: MetadataPlaces | undefined;
  /** Whether its clusters lie in a file of their own. */
  readonly external: boolean;
}

/** The image's small tables often lie side by side. */
const TABLES_TOGETHER = { maxGap: 256 * KiB, maxLength: 8 * MiB };

/**
 * Finds the tables of a version 2 or 3 image, or of one of its snapshots. Costs one GET; more only where they lie far apart.
 *
 * @param dataFile Where its clusters lie, if not in the image itself.
 * @throws UnqcowError as `readL1`, `readMetadata`, `assertTablesClear`, `findSnapshot` and `snapshotDisk` do;
 * `OUTPUT_LIMIT` for a snapshot's disk.
 */
export async function findTables(
  image: Image,
  dataFile: OpenSource | undefined,
  { snapshot, placesOnly, salvage, outputLimit, signal }: FindOptions,
): Promise<Found> {
  const together: Image = { ...image, source: coalesced(image.source, TABLES_TOGETHER) };
  const snapshots = placesOnly && snapshot === undefined ? undefined : readSnapshots(together, { signal });
  const { geometry, l1 } =
    snapshots === undefined || snapshot === undefined
      ? { geometry: image.geometry, l1: activeL1(image) }
      : snapshotOf(image, await snapshots, snapshot, outputLimit);
  const l1Table = readL1(together, { signal, location: l1, salvage });
  const tables = () => ({
    l1Table,
    activeTables: snapshot === undefined || salvage ? undefined : readActiveTables(together, signal),
  });
  const metadata =
    placesOnly || snapshots === undefined ? undefined : await readMetadata(together, tables(), snapshots, signal);
  const l2Offsets = await l1Table;
  const external = dataFile !== undefined;
  const found = { map: { geometry, firstTable: 0, l2Offsets }, data: dataFile ?? image.source, metadata, external };
  if (!salvage) {
    if (metadata) assertTablesClear(metadata, l2Offsets);
    return found;
  }
  const damageOf = (index: number, offset: number) =>
    tableDamage(geometry, image.fileSize, index, offset) ?? metadata?.damageOf(index, offset);
  return { ...found, salvage: { damageOf, places: external ? undefined : metadata } };
}

/** Where a snapshot's disk is found, in place of the active one's: its size may be another. */
function snapshotOf(image: Image, table: SnapshotTable, wanted: string | number, outputLimit: number | undefined) {
  const record = findSnapshot(table, wanted);
  const { geometry, l1 } = snapshotDisk(image, record);
  assertOutputFits(geometry.diskSize, outputLimit);
  return { geometry, l1: { offset: l1.offset, entries: record.l1Size, diskSize: geometry.diskSize } };
}

/**
 * Finds the tables of a version 1 image.
 *
 * @throws UnqcowError `SNAPSHOT_NOT_FOUND` for any snapshot; as `readQcow1Map` does.
 */
export async function findQcow1Tables(image: Qcow1Image, { snapshot, salvage, signal }: FindOptions): Promise<Found> {
  if (snapshot !== undefined) {
    throw new UnqcowError('SNAPSHOT_NOT_FOUND', 'version 1 has no snapshots', { at: 'header.version' });
  }
  const map = await readQcow1Map(image, { signal, salvage });
  const places = new Qcow1Metadata(image, 'l2Offsets' in map ? map.l2Offsets : []);
  const found = { map, data: image.source, metadata: places, external: false };
  if (!salvage) return found;
  const spans = fixedSpans(image);
  const damageOf = (index: number, offset: number) => qcow1Damage(image, spans, index, offset);
  return { ...found, salvage: { damageOf, places } };
}
