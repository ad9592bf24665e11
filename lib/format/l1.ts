import { type ErrorCode, UnqcowError } from '../errors.ts';
import { clipped } from '../ranges.ts';
import { COPIED, hasL1ReservedBits, hostOffsetOf } from './entry-bits.ts';
import { clusterSizeOf, l2CoverageOf, l2EntryBytesOf, l2TablesOf, type Qcow2Geometry } from './geometry.ts';
import type { Image } from './image.ts';
import { viewOf } from './struct.ts';
import { NOWHERE, type TableDamage } from './walk.ts';

/** Which L1 table, and of how large a disk. */
export interface L1Location {
  readonly offset: number;
  /** Entries that it says it has: as many as the disk needs, or more. */
  readonly entries: number;
  readonly diskSize: number;
}

export function activeL1({ header, geometry }: Image): L1Location {
  return { offset: Number(header.l1TableOffset), entries: header.l1Size, diskSize: geometry.diskSize };
}

interface ReadL1Options {
  readonly signal?: AbortSignal | undefined;
  /** The active disk's, if left out. */
  readonly location?: L1Location;
  /** Nothing is refused: `tableDamage` says what is wrong with each table. An entry past the end of the file is `NOWHERE`. */
  readonly salvage?: boolean | undefined;
}

/** Entries past the disk's end that are looked at: nothing depends on them but a warning. */
const MAX_SURPLUS = 1024;

/**
 * Reads the L1 entries that the disk needs, and at most 1,024 past them: one read. Returns where each L2 table lies, as a
 * host offset; 0 is an L2 table that does not exist.
 *
 * Warns of reserved bits, of entries that claim a table and name none, and of entries past the disk's end that name a
 * table which the file does not have.
 *
 * @throws UnqcowError `L2_UNALIGNED`, `L2_BEYOND_EOF` at `l1[i]`.
 * @see qcow2.rst § Cluster mapping, L1 table entry
 */
export async function readL1(
  image: Image,
  { signal, location = activeL1(image), salvage = false }: ReadL1Options = {},
): Promise<Float64Array> {
  const { source, warnings } = image;
  const { offset: start, diskSize } = location;
  const geometry = { ...image.geometry, diskSize };
  const offsets = new Float64Array(l2TablesOf(geometry));
  if (offsets.length === 0) return offsets;
  // If the stated length runs past the end of the file it is wrong, and what lies there is no L1 entry.
  const isThere = start + location.entries * 8 <= source.size;
  const surplus = isThere ? Math.min(location.entries - offsets.length, MAX_SURPLUS) : 0;
  const end = start + (offsets.length + surplus) * 8;
  const stored = salvage ? clipped({ start, end }, source.size) : { start, end };
  const view = viewOf(await source.read(stored, { signal }));
  const there = Math.min(offsets.length, Math.floor(view.byteLength / 8));
  offsets.fill(NOWHERE, there);
  for (let i = 0; i < there; i += 1) {
    const hi = view.getUint32(i * 8);
    const lo = view.getUint32(i * 8 + 4);
    if (hasL1ReservedBits(hi, lo)) {
      warnings.add({ code: 'L1E_RESERVED_BITS', message: 'reserved bits are set', at: `l1[${i}]` });
    }
    const offset = hostOffsetOf(hi, lo);
    const damage = offset === 0 || salvage ? undefined : tableDamage(geometry, source.size, i, offset);
    if (damage) throw damage.fault;
    if (offset === 0 && (hi & COPIED) !== 0) {
      const message = 'the copied flag is set, but there is no L2 table';
      warnings.add({ code: 'L1E_WITHOUT_TABLE', message, at: `l1[${i}]` });
    }
    offsets[i] = offset;
  }
  for (let i = offsets.length; i < offsets.length + surplus; i += 1) {
    const offset = offsetIn(view, i);
    if (offset < source.size) continue;
    const message = `the L2 table at ${offset}, past the disk's end, lies past the file's ${source.size} bytes`;
    warnings.add({ code: 'SURPLUS_L2_BEYOND_EOF', message, at: `l1[${i}]` });
  }
  return offsets;
}

/**
 * Where the active disk's L2 tables lie, ascending, for whoever reads a snapshot: what is wrong with them does not matter
 * there. One read, of the entries that the active disk needs.
 */
export async function readActiveTables(image: Image, signal?: AbortSignal): Promise<Float64Array> {
  const { source, geometry } = image;
  const count = l2TablesOf(geometry);
  if (count === 0) return new Float64Array(0);
  const start = activeL1(image).offset;
  const view = viewOf(await source.read({ start, end: start + count * 8 }, { signal }));
  return Float64Array.from({ length: count }, (_, i) => offsetIn(view, i))
    .filter((offset) => offset !== 0 && offset % clusterSizeOf(geometry) === 0)
    .sort();
}

function offsetIn(view: DataView, index: number): number {
  return hostOffsetOf(view.getUint32(index * 8), view.getUint32(index * 8 + 4));
}

/**
 * Whether an L2 table cannot be read where an L1 entry says that it lies. It may be cut off by the end of the file after
 * the entries that the disk needs, but not before.
 */
export function tableDamage(
  geometry: Qcow2Geometry,
  fileSize: number,
  index: number,
  offset: number,
): TableDamage | undefined {
  const damage = (code: ErrorCode, message: string, readable = 0): TableDamage => ({
    fault: new UnqcowError(code, message, { at: `l1[${index}]` }),
    readable,
  });
  if (offset === NOWHERE) return damage('L1_BEYOND_EOF', `the L1 entry lies past the file's ${fileSize} bytes`);
  if (offset % clusterSizeOf(geometry) !== 0) {
    return damage('L2_UNALIGNED', `the L2 table at ${offset} does not start on a cluster`);
  }
  const guest = Math.min(l2CoverageOf(geometry), geometry.diskSize - index * l2CoverageOf(geometry));
  const needed = Math.ceil(guest / clusterSizeOf(geometry)) * l2EntryBytesOf(geometry);
  if (offset + needed <= fileSize) return undefined;
  return damage('L2_BEYOND_EOF', `the L2 table at ${offset} runs past the file's ${fileSize} bytes`, fileSize);
}
