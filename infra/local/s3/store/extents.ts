import { createHash } from 'node:crypto';

/** A run of bytes in a blob file. Offsets and lengths in bytes. */
export interface DataExtent {
  readonly blob: string;
  readonly offset: number;
  readonly length: number;
}

/** A run of zeros that is stored nowhere. */
interface Hole {
  readonly length: number;
}

/** What an object, a part or a range of either is made of, in order. */
export type Extent = DataExtent | Hole;

export const isData = (extent: Extent): extent is DataExtent => 'blob' in extent;

/** Adds an extent to a list, joined with the last one where they touch. Changes the list. */
export function append(extents: Extent[], extent: Extent): void {
  if (extent.length === 0) return;
  const last = extents.at(-1);
  const length = (last?.length ?? 0) + extent.length;
  if (last === undefined || isData(last) !== isData(extent)) extents.push(extent);
  else if (!isData(last) || !isData(extent)) extents[extents.length - 1] = { length };
  else if (last.blob === extent.blob && last.offset + last.length === extent.offset) {
    extents[extents.length - 1] = { blob: last.blob, offset: last.offset, length };
  } else extents.push(extent);
}

/** One list from several. */
export function concatenate(lists: Iterable<readonly Extent[]>): Extent[] {
  const joined: Extent[] = [];
  for (const list of lists) for (const extent of list) append(joined, extent);
  return joined;
}

/** The bytes `[start, end)` of what the extents describe; what lies past their end is left out. */
export function slice(extents: readonly Extent[], start: number, end: number): Extent[] {
  const found: Extent[] = [];
  let at = 0;
  for (const extent of extents) {
    if (at >= end) break;
    const from = Math.max(start - at, 0);
    const length = Math.min(end - at, extent.length) - from;
    if (length > 0)
      found.push(isData(extent) ? { blob: extent.blob, offset: extent.offset + from, length } : { length });
    at += extent.length;
  }
  return found;
}

/** The blobs that the extents refer to, each once. */
export function blobsOf(extents: readonly Extent[]): string[] {
  return [...new Set(extents.filter(isData).map(({ blob }) => blob))];
}

/** 32 hex digits that name these extents: equal digests mean equal bytes, but not the other way round. */
export function digestOf(extents: readonly Extent[]): string {
  const hash = createHash('md5');
  for (const extent of extents)
    hash.update(isData(extent) ? `${extent.blob}@${extent.offset}+${extent.length};` : `0+${extent.length};`);
  return hash.digest('hex');
}
