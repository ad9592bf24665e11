import { UnqcowError } from '../errors.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { FEATURE_KINDS, type FeatureKind } from './features.ts';
import type { Header } from './header.ts';
import { qemuText } from './qemu-text.ts';
import { viewOf } from './struct.ts';

/** qcow2.rst § Header extensions. */
export const EXTENSION_TYPES = {
  3799591626: 'backing format',
  1745090647: 'feature names',
  595929205: 'bitmaps',
  87539319: 'encryption header',
  1145132097: 'data file name',
} as const;

/** qcow2.rst § Full disk encryption header pointer. */
export const CRYPTO_EXTENSION = { offset: [0, 'u64'], length: [8, 'u64'] } as const;

export type ExtensionName = (typeof EXTENSION_TYPES)[keyof typeof EXTENSION_TYPES];

export interface Extension {
  readonly type: number;
  /** What it holds, or nothing for a type that we do not know. */
  readonly name: ExtensionName | undefined;
  /** Host offset of its payload, in bytes. */
  readonly offset: number;
  readonly length: number;
  /** The payload, for known types; it ends where the file does. */
  readonly data: Uint8Array;
}

export interface Extensions {
  /** The first of them, in the order of the file. */
  readonly list: readonly Extension[];
  /** By what it holds; of one that repeats the last. */
  readonly known: ReadonlyMap<ExtensionName, Extension>;
  /** How many unknown ones there are. */
  readonly unknown: number;
}

/** A 2 MiB cluster holds 262,144 empty extensions: what is reported of them is bounded. */
const MAX_LISTED = 64;

/**
 * Walks the header extensions. They start after the header and end at the END marker, at the backing file's name, or at
 * the first cluster's end. Bytes past the file's end count as zeros, which is an END marker.
 *
 * Costs nothing unless they run past `head`: then one read of up to a cluster.
 *
 * @param head The file's first bytes.
 * @throws UnqcowError `HEADER_EXT_TOO_LARGE`.
 */
export async function readExtensions(source: ByteSource, header: Header, head: Uint8Array): Promise<Extensions> {
  const end = header.backingFileOffset > 0n ? Number(header.backingFileOffset) : 2 ** header.clusterBits;
  const there = Math.min(end, source.size);
  const found = walk(head.subarray(0, there), header.headerLength, end, head.length < there);
  return found ?? (walk(await source.read({ start: 0, end: there }), header.headerLength, end, false) as Extensions);
}

/** @returns nothing if `more` bytes exist than were given, and they are needed. */
function walk(area: Uint8Array, start: number, end: number, more: boolean): Extensions | undefined {
  const list: Extension[] = [];
  const known = new Map<ExtensionName, Extension>();
  let unknown = 0;
  const view = viewOf(area);
  let at = start;
  while (at < end) {
    const offset = at + 8;
    const place = `header.extensions[${list.length}]`;
    // Before whether the file has them: its missing bytes are an END marker, which must fit as well.
    if (offset > end)
      throw new UnqcowError('HEADER_EXT_TOO_LARGE', `an extension starts at ${at}, and ${end} is their end`, {
        at: place,
      });
    if (offset > area.length) return more ? undefined : { list, known, unknown };
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (length > end - offset) {
      const message = `extension 0x${type.toString(16)} of ${length} bytes runs past ${end}`;
      throw new UnqcowError('HEADER_EXT_TOO_LARGE', message, { at: place });
    }
    if (type === 0) break;
    if (offset + length > area.length && more) return undefined;
    const name = EXTENSION_TYPES[type as keyof typeof EXTENSION_TYPES];
    if (name === undefined) unknown += 1;
    const data = name === undefined ? new Uint8Array(0) : area.slice(offset, offset + length);
    const extension = { type, name, offset, length, data };
    // Of a known type that repeats only the last one means anything.
    if (name !== undefined) known.set(name, extension);
    if (list.length < MAX_LISTED) list.push(extension);
    at = offset + Math.ceil(length / 8) * 8;
  }
  return { list, known, unknown };
}

/** The last extension of that kind: QEMU lets a later one overrule. */
export function lastOf({ known }: Extensions, name: ExtensionName): Extension | undefined {
  return known.get(name);
}

const FEATURE_ROW = 48;

/** The image's own name for a feature bit, if its table of names has one. Rows that are cut off do not count. */
export function featureName(extensions: Extensions, kind: FeatureKind, bit: number): string | undefined {
  const table = lastOf(extensions, 'feature names')?.data ?? new Uint8Array(0);
  for (let at = 0; at + FEATURE_ROW <= table.length; at += FEATURE_ROW) {
    if (table[at] === FEATURE_KINDS.indexOf(kind) && table[at + 1] === bit)
      return text(table.subarray(at + 2, at + FEATURE_ROW));
  }
  return undefined;
}

/** A name as QEMU's JSON shows it: up to the first NUL, U+FFFD for what is no UTF-8. */
export const text = qemuText;
