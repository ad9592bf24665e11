import type { ByteRange } from '../ranges.ts';
import { parseBitmapsExtension } from './bitmaps-extension.ts';
import { lastOf } from './extensions.ts';
import type { Header } from './header.ts';
import type { Image } from './image.ts';
import { FORMAT_LIMITS } from './limits.ts';
import { type Page, paged } from './page.ts';
import { isWholeText, qemuText, untilNul } from './qemu-text.ts';
import { readStruct, viewOf } from './struct.ts';

/** qcow2.rst § Bitmap directory, an entry. After it: extra data, which QEMU knows none of, the name, and bytes up to 8. */
const DIRECTORY_ENTRY = {
  tableOffset: [0, 'u64'],
  tableSize: [8, 'u32'],
  flags: [12, 'u32'],
  type: [16, 'u8'],
  granularityBits: [17, 'u8'],
  nameSize: [18, 'u16'],
  extraDataSize: [20, 'u32'],
} as const;
const ENTRY_BYTES = 24;

const IN_USE = 1;
const AUTO = 2;
const DIRTY_TRACKING = 1;
const LIMITS = { minGranularityBits: 9, maxGranularityBits: 31, nameBytes: 1023, dataBytes: 2 ** 29 } as const;

/** One entry of the bitmap directory. */
export interface Bitmap {
  readonly name: Uint8Array;
  /** Host offset of its table, in bytes: a multiple of the cluster size. */
  readonly tableOffset: bigint;
  /** Entries in its table, of 8 bytes, each for a cluster of bits. */
  readonly tableSize: number;
  /** It was not saved properly: what it says is not to be relied on. */
  readonly inUse: boolean;
  /** It is to be kept up to date by whoever writes to the disk. */
  readonly auto: boolean;
  /** A bit stands for 2 to the power of this many bytes of disk. */
  readonly granularityBits: number;
}

export interface BitmapList {
  /** In the order of the directory; none if it cannot be listed. */
  readonly bitmaps: readonly Bitmap[];
  /** Whether the last writer did not know of bitmaps: they may say nothing true, and their space may be in other use. */
  readonly stale: boolean;
  /** Where the directory lies, as host offsets: only while it is in force. */
  readonly directory: ByteRange | undefined;
}

/**
 * Reads the bitmap directory: one read, as long as the directory, and none where there is none. What bitmaps say is not
 * read. A damaged directory makes QEMU refuse the whole image; here it is a warning and an empty list, since it cannot
 * change the disk's bytes. A stale directory is read too: what it lists may be anything.
 *
 * @see qcow2.rst § Bitmaps
 */
export async function readBitmaps(
  image: Image,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<BitmapList> {
  const { extensions, features, header, source } = image;
  const extension = lastOf(extensions, 'bitmaps');
  if (!extension) return { bitmaps: [], stale: false, directory: undefined };
  const stale = !features.bitmaps;
  const parsed = parseBitmapsExtension(extension.data, { clusterBits: header.clusterBits, fileSize: source.size });
  if (typeof parsed === 'string') return refused(image, parsed);
  const start = Number(parsed.directoryOffset);
  const range = { start, end: start + Number(parsed.directorySize) };
  const bitmaps = parseDirectory(await source.read(range, { signal }), parsed.count, { header, stale });
  if (typeof bitmaps === 'string') return { ...refused(image, bitmaps), directory: stale ? undefined : range };
  return { bitmaps, stale, directory: stale ? undefined : range };
}

/** Opening the image warned of what is stale, and may have warned of the extension. */
function refused({ features, warnings }: Image, message: string): BitmapList {
  const code = 'BITMAPS_INVALID';
  if (features.bitmaps && !warnings.list().some((warning) => warning.code === code)) {
    warnings.add({ code, message, at: 'header.extensions.bitmaps' });
  }
  return { bitmaps: [], stale: !features.bitmaps, directory: undefined };
}

interface DirectoryContext {
  readonly header: Pick<Header, 'clusterBits' | 'size'>;
  readonly stale: boolean;
}

/** Reads the entries, or says what is wrong with them. */
function parseDirectory(directory: Uint8Array, count: number, context: DirectoryContext): Bitmap[] | string {
  const view = viewOf(directory);
  const bitmaps: Bitmap[] = [];
  const names = new Set<string>();
  let at = 0;
  while (at < directory.length) {
    const where = `bitmap ${bitmaps.length}`;
    if (bitmaps.length === count) return `the directory has more than ${count} bitmaps`;
    if (at + ENTRY_BYTES > directory.length) return `the directory ends inside ${where}`;
    const entry = readStruct(view, DIRECTORY_ENTRY, at);
    const end = at + Math.ceil((ENTRY_BYTES + entry.extraDataSize + entry.nameSize) / 8) * 8;
    if (end > directory.length) return `the directory ends inside ${where}`;
    const fault = entryFault(entry, context);
    if (fault) return `${where} ${fault}`;
    const name = directory.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + entry.nameSize);
    const key = Buffer.from(untilNul(name)).toString('latin1');
    const inUse = (entry.flags & IN_USE) !== 0;
    if (names.has(key) && !inUse) return `${where} has the name of an earlier one`;
    names.add(key);
    const { tableOffset, tableSize, granularityBits } = entry;
    bitmaps.push({ name, tableOffset, tableSize, inUse, auto: (entry.flags & AUTO) !== 0, granularityBits });
    at = end;
  }
  return bitmaps.length === count ? bitmaps : `the directory has ${bitmaps.length} bitmaps, not ${count}`;
}

type Entry = ReturnType<typeof readStruct<typeof DIRECTORY_ENTRY>>;

function entryFault(entry: Entry, { header, stale }: DirectoryContext): string | undefined {
  const { tableOffset, tableSize, granularityBits, flags, type, nameSize, extraDataSize } = entry;
  const clusterSize = 2 ** header.clusterBits;
  if (extraDataSize !== 0) return 'has extra data, of which none is defined';
  if (type !== DIRTY_TRACKING) return `is of type ${type}, which is not defined`;
  if (flags > (IN_USE | AUTO)) return `has flags that are not defined, 0x${flags.toString(16)}`;
  if (granularityBits < LIMITS.minGranularityBits || granularityBits > LIMITS.maxGranularityBits) {
    return `has a granularity of 2^${granularityBits} bytes`;
  }
  if (nameSize > LIMITS.nameBytes) return `has a name of ${nameSize} bytes`;
  if (tableOffset === 0n || tableOffset % BigInt(clusterSize) !== 0n) return `cannot have its table at ${tableOffset}`;
  if (tableSize === 0 || tableSize * clusterSize > LIMITS.dataBytes) return `cannot have ${tableSize} clusters of bits`;
  // The table of one that was not saved, or that an unknowing writer left behind, may be that of an earlier disk size.
  if (stale || (flags & IN_USE) !== 0) return undefined;
  const end = tableOffset + BigInt(tableSize * 8);
  if (end > FORMAT_LIMITS.maxRead) return `cannot have its table at ${tableOffset}`;
  const needed = clustersNeeded(header, granularityBits);
  if (tableSize !== needed) return `has ${tableSize} clusters of bits, not ${needed}`;
  return undefined;
}

/** How many clusters the bits of the whole disk take; QEMU stores them by 64. */
function clustersNeeded({ clusterBits, size }: DirectoryContext['header'], granularityBits: number): number {
  const bits = Math.ceil(Number(size - (size % 512n)) / 2 ** granularityBits);
  return Math.ceil((Math.ceil(bits / 64) * 8) / 2 ** clusterBits);
}

/** A bitmap as `qemu-img info --output=json` has it under `format-specific.data.bitmaps`. */
export interface QemuBitmap {
  readonly flags: readonly ('in-use' | 'auto')[];
  readonly name: string;
  readonly granularity: number;
}

/** All that the directory says of a bitmap. A name that is not text whole is there in hexadecimal, too. */
export interface BitmapInfo extends QemuBitmap {
  readonly 'name-bytes'?: string;
  readonly table: { readonly offset: bigint; readonly entries: number };
}

export interface BitmapsInfo {
  /** As QEMU lists them: none if they are stale. */
  readonly qemu: readonly QemuBitmap[];
  readonly stale: boolean;
  /** How many there are; what is listed may be fewer. */
  readonly count: number;
  readonly bitmaps: readonly BitmapInfo[];
  /** The offset at which the list goes on, if it does. */
  readonly next?: number | undefined;
}

/** Says what the bitmaps are: costs nothing more, and time for what is listed only. */
export function describeBitmaps({ bitmaps, stale }: BitmapList, page: Page = {}): BitmapsInfo {
  const both = (index: number) => {
    const bitmap = bitmaps[index] as Bitmap;
    return { ...(stale ? {} : { qemu: qemuBitmap(bitmap) }), info: bitmapInfo(bitmap) };
  };
  const { items, next } = paged(bitmaps.length, both, page);
  return {
    qemu: items.flatMap(({ qemu }) => qemu ?? []),
    stale,
    count: bitmaps.length,
    bitmaps: items.map(({ info }) => info),
    next,
  };
}

function qemuBitmap({ inUse, auto, name, granularityBits }: Bitmap): QemuBitmap {
  return {
    flags: [...(inUse ? (['in-use'] as const) : []), ...(auto ? (['auto'] as const) : [])],
    name: qemuText(name),
    granularity: 2 ** granularityBits,
  };
}

function bitmapInfo(bitmap: Bitmap): BitmapInfo {
  const { name, tableOffset, tableSize } = bitmap;
  return {
    ...qemuBitmap(bitmap),
    ...(isWholeText(name) ? {} : { 'name-bytes': Buffer.from(name).toString('hex') }),
    table: { offset: tableOffset, entries: tableSize },
  };
}
