import { UnqcowError } from '../errors.ts';
import { type ByteRange, mergeRanges } from '../ranges.ts';
import { l1EntriesNeeded } from './checks.ts';
import type { Image } from './image.ts';
import { FORMAT_LIMITS } from './limits.ts';
import type { SnapshotRecord } from './snapshot-record.ts';
import type { SnapshotTable } from './snapshot-table.ts';

/**
 * Finds the snapshot that is meant. `snapshot.id=ID`, `snapshot.name=NAME` and `snapshot.id=ID,snapshot.name=NAME` are
 * read as `qemu-img convert -l` reads them, a comma in a value written twice; anything else is an id, or, if no snapshot
 * in the whole table has that id, a name. Of several the first is meant. Compared as bytes, up to a NUL. A number is a
 * place in the table, from 0.
 *
 * @throws UnqcowError `SNAPSHOT_NOT_FOUND`; `BAD_REQUEST` for options that are none; what is wrong with the table.
 */
export function findSnapshot(table: SnapshotTable, wanted: string | number): SnapshotRecord {
  if (table.fault) throw table.fault;
  if (typeof wanted === 'number') return table.at(wanted);
  const options = optionsOf(wanted);
  const index = options ? find(table, options) : idFirst(table, wanted);
  if (index >= 0) return table.at(index);
  const what = options ? JSON.stringify(options) : `the id or name ${JSON.stringify(wanted)}`;
  throw new UnqcowError('SNAPSHOT_NOT_FOUND', `no snapshot has ${what}, of ${table.count}`);
}

interface Wanted {
  readonly id?: string;
  readonly name?: string;
}

function idFirst(table: SnapshotTable, wanted: string): number {
  const index = find(table, { id: wanted });
  return index >= 0 ? index : find(table, { name: wanted });
}

function find(table: SnapshotTable, { id, name }: Wanted): number {
  const is = (index: number, part: 'id' | 'name', text: Buffer | undefined) =>
    text === undefined || text.equals(table.textAt(index, part));
  const [idBytes, nameBytes] = [id, name].map((text) => (text === undefined ? undefined : Buffer.from(text)));
  for (let i = 0; i < table.count; i += 1) if (is(i, 'id', idBytes) && is(i, 'name', nameBytes)) return i;
  return -1;
}

/** @returns nothing where `wanted` is an id or a name itself. */
function optionsOf(wanted: string): Wanted | undefined {
  if (!/^snapshot\.(id|name)=/.test(wanted)) return undefined;
  const options: { id?: string; name?: string } = {};
  for (const [option] of wanted.matchAll(/(?:[^,]|,,)+|,/g)) {
    if (option === ',') continue;
    const [, key, value] = /^snapshot\.(id|name)=(.*)$/s.exec(option) ?? [];
    if (key === undefined || value === undefined) {
      throw new UnqcowError('BAD_REQUEST', `${JSON.stringify(option)} is not snapshot.id=… or snapshot.name=…`);
    }
    options[key as 'id' | 'name'] = value.replaceAll(',,', ',');
  }
  return options;
}

/** What a snapshot's disk is read by, in place of the image's own size and L1 table. */
export interface SnapshotDisk {
  /** The image's, with the snapshot's own disk size: bytes of VM state lie past it and are never read. */
  readonly geometry: Image['geometry'];
  /** Where its L1 table lies, as a host offset in bytes, and how many of its entries the disk needs. */
  readonly l1: { readonly offset: number; readonly needed: number };
}

/**
 * Checks that a snapshot can be read: its L1 table must be sound, cover its disk, and lie in the file as far as the disk
 * needs it. Costs nothing. A snapshot that does not say how large its disk was has the image's size.
 *
 * Warns of a size that is no multiple of 512, and of surplus entries past the end of the file.
 *
 * @throws UnqcowError `BAD_SNAPSHOT_L1` at `snapshots[i].l1_size` or `.l1_table_offset`.
 */
export function snapshotDisk(image: Image, record: SnapshotRecord): SnapshotDisk {
  const { header, dataFile, fileSize, warnings } = image;
  const { index, l1TableOffset: offset, l1Size } = record;
  const refuse = (message: string, field: string) =>
    new UnqcowError('BAD_SNAPSHOT_L1', message, { at: `snapshots[${index}].${field}` });
  if (dataFile) throw refuse('the data lies in another file, which has no snapshots', 'l1_table_offset');
  if (l1Size * 8 > FORMAT_LIMITS.maxL1Bytes) throw refuse(`${l1Size} entries are more than 32 MiB`, 'l1_size');
  if (!isPlace(image, record)) throw refuse(`the L1 table cannot lie at ${offset}`, 'l1_table_offset');
  const size = record.diskSize ?? header.size;
  const floored = size - (size % 512n);
  const needed = l1EntriesNeeded({ ...image, header: { ...header, size: floored } });
  if (l1Size < needed) throw refuse(`${size} bytes of disk need ${needed} entries, not ${l1Size}`, 'l1_size');
  if (needed > 0 && offset === 0n) throw refuse('the L1 table lies on the header', 'l1_table_offset');
  if (needed > 0 && offset + BigInt(needed * 8) > fileSize) {
    throw refuse(`${needed} entries at ${offset} run past the file's ${fileSize} bytes`, 'l1_table_offset');
  }
  if (l1Size > needed && offset + BigInt(l1Size * 8) > fileSize) {
    const message = `L1 entries from ${needed} on, which the disk does not need, run past the end of the file`;
    warnings.add({ code: 'L1_SURPLUS_BEYOND_EOF', message, at: `snapshots[${index}].l1_size` });
  }
  if (size !== floored) {
    const message = `${size} is not a multiple of 512: the disk ends at ${floored}`;
    warnings.add({ code: 'SIZE_NOT_512', message, at: `snapshots[${index}].disk_size` });
  }
  return { geometry: { ...image.geometry, diskSize: Number(floored) }, l1: { offset: Number(offset), needed } };
}

/** Whether an L1 table may lie there: on a cluster, and not past what the format can address. */
function isPlace({ header }: Pick<Image, 'header'>, { l1TableOffset, l1Size }: SnapshotRecord): boolean {
  const aligned = l1TableOffset % (1n << BigInt(header.clusterBits)) === 0n;
  return aligned && l1TableOffset + BigInt(l1Size * 8) <= FORMAT_LIMITS.maxOffset;
}

/** One class of the image's own tables, and where in the file it lies: ascending, and apart from each other. */
export interface MetadataRanges {
  readonly name: 'snapshot table' | 'inactive L1 table';
  readonly ranges: readonly ByteRange[];
}

/**
 * Where the snapshot table and the snapshots' L1 tables lie in the file. L1 tables that cannot be sound are left out, and
 * so is what lies past the end of the file: a size that is not true must not cover anything.
 */
export function snapshotRanges(image: Image, table: SnapshotTable): MetadataRanges[] {
  const l1Tables: ByteRange[] = [];
  for (let i = 0; i < table.count; i += 1) {
    const record = table.at(i);
    const { l1TableOffset: offset, l1Size } = record;
    if (l1Size === 0 || l1Size * 8 > FORMAT_LIMITS.maxL1Bytes || !isPlace(image, record)) continue;
    if (offset === 0n || offset >= image.fileSize) continue;
    const start = Number(offset);
    l1Tables.push({ start, end: Math.min(start + l1Size * 8, image.fileSize) });
  }
  const merged = mergeRanges(l1Tables, { maxGap: 0, maxLength: Number.POSITIVE_INFINITY });
  return [
    { name: 'snapshot table', ranges: table.count === 0 ? [] : [table.range] },
    { name: 'inactive L1 table', ranges: merged.map(({ start, end }) => ({ start, end })) },
  ];
}
