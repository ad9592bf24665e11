import { UnqcowError } from '../../errors.ts';
import type { ByteSource } from '../../source/byte-source.ts';
import { cached } from '../../source/cached.ts';
import { zeroPadded } from '../../source/zero-padded.ts';
import { MiB } from '../../units.ts';
import { hasRefcountTable } from '../checks.ts';
import { refblockOffsetOf } from '../entry-bits.ts';
import { clusterSizeOf } from '../geometry.ts';
import type { Header } from '../header.ts';
import type { Image } from '../image.ts';
import { FORMAT_LIMITS } from '../limits.ts';
import { viewOf } from '../struct.ts';
import type { Findings } from './findings.ts';

/** What an entry of the refcount table says of its block. */
type BlockState = (typeof BLOCK)[keyof typeof BLOCK];
const BLOCK = { none: 0, there: 1, unaligned: 2, unreadable: 3 } as const;

/** Refcounts of places outside of the file that are looked up one by one: no sound image has any. */
const MAX_LOOKUPS = 65_536;

/**
 * The refcount table, and through it the refcounts that the image has stored. Memory: 10 bytes an entry, of which there
 * are a million at most.
 *
 * @see qcow2.rst § Host cluster management
 */
export class Refcounts {
  /** Entries in the table. */
  readonly size: number;
  /** Clusters that one block counts. */
  readonly perBlock: number;
  readonly bits: number;
  readonly #offsets: Float64Array;
  readonly #states: Uint8Array;
  readonly #reserved: Uint8Array;
  readonly #source: ByteSource;
  readonly #lookup: ByteSource;
  readonly #read: StoredReader;
  #lookups = 0;

  private constructor(image: Image, table: DataView, source: ByteSource) {
    const clusterSize = clusterSizeOf(image.geometry);
    this.bits = 2 ** image.header.refcountOrder;
    this.perBlock = (clusterSize * 8) / this.bits;
    this.size = table.byteLength / 8;
    this.#offsets = new Float64Array(this.size);
    this.#states = new Uint8Array(this.size);
    this.#reserved = new Uint8Array(this.size);
    this.#source = zeroPadded(source);
    this.#lookup = zeroPadded(cached(image.source, { maxBytes: 4 * MiB }));
    this.#read = storedReader(image.header.refcountOrder);
    for (let i = 0; i < this.size; i += 1) {
      const lo = table.getUint32(i * 8 + 4);
      const offset = refblockOffsetOf(table.getUint32(i * 8), lo);
      this.#offsets[i] = offset;
      this.#reserved[i] = (lo & 0x1ff) === 0 ? 0 : 1;
      this.#states[i] = stateOf(offset, lo, clusterSize);
    }
  }

  /**
   * Reads the refcount table: one read of up to 8 MiB. Blocks are read through `source`.
   *
   * @throws UnqcowError `BAD_REFCOUNT_ORDER`, `BAD_REFTABLE`.
   */
  static async read(image: Image, source: ByteSource, signal?: AbortSignal): Promise<Refcounts> {
    const { header, geometry } = image;
    assertUsable(header);
    const start = Number(header.refcountTableOffset);
    const end = start + header.refcountTableClusters * clusterSizeOf(geometry);
    const table = await zeroPadded(source).read({ start, end }, { signal });
    return new Refcounts(image, viewOf(table), source);
  }

  /** Host offset of a block, 0 where there is none. Past 2^53 it may be off by a little. */
  offsetOf(index: number): number {
    return this.#offsets[index] ?? 0;
  }

  isUnaligned(index: number): boolean {
    return this.#states[index] === BLOCK.unaligned;
  }

  hasReservedBits(index: number): boolean {
    return this.#reserved[index] === 1;
  }

  /** Whether a cluster's refcount can be read at all: one that no block counts is 0. */
  isReadable(cluster: number): boolean {
    const state = this.#states[Math.floor(cluster / this.perBlock)] ?? BLOCK.none;
    return state === BLOCK.none || state === BLOCK.there;
  }

  /** Reads the refcounts of `[start, end)`, multiples of 8 clusters, as they are stored: one request a block, or fewer. */
  async load(start: number, end: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    into.fill(0);
    const { perBlock, bits } = this;
    const bytesOf = (clusters: number) => (clusters * bits) / 8;
    const reads: Promise<unknown>[] = [];
    let pending = 0;
    for (let index = Math.floor(start / perBlock); index * perBlock < end && index < this.size; index += 1) {
      if (this.#states[index] !== BLOCK.there) continue;
      const first = Math.max(start, index * perBlock);
      const last = Math.min(end, (index + 1) * perBlock);
      const host = this.offsetOf(index) + bytesOf(first - index * perBlock);
      const place = into.subarray(bytesOf(first - start), bytesOf(last - start));
      reads.push(this.#source.read({ start: host, end: host + place.length }, { signal, into: place }));
      pending += place.length;
      if (reads.length < 256 && pending < 8 * MiB) continue;
      await Promise.all(reads.splice(0));
      pending = 0;
    }
    await Promise.all(reads);
  }

  /** A refcount out of what `load` brought. Past 2^53 it may be off by a little. */
  at(loaded: DataView, index: number): number {
    return this.#read(loaded, index);
  }

  /** Whether any block counts that cluster. */
  counts(cluster: number): boolean {
    return this.#states[Math.floor(cluster / this.perBlock)] === BLOCK.there;
  }

  /** @throws UnqcowError `CHECK_LIMIT` if too many are asked for. */
  async lookUp(cluster: number, signal?: AbortSignal): Promise<number> {
    this.#lookups += 1;
    if (this.#lookups > MAX_LOOKUPS) {
      const message = `more than ${MAX_LOOKUPS} entries name places that the file does not have`;
      throw new UnqcowError('CHECK_LIMIT', message);
    }
    const index = Math.floor(cluster / this.perBlock);
    // A block that the file does not have is zeros. So far off, numbers may have lost the digits to read it by.
    if (this.offsetOf(index) >= Number.MAX_SAFE_INTEGER / 2) return 0;
    const within = cluster - index * this.perBlock;
    const first = within - (within % 8);
    const start = this.offsetOf(index) + (first * this.bits) / 8;
    const bytes = await this.#lookup.read({ start, end: start + this.bits }, { signal });
    return this.#read(viewOf(bytes), within - first);
  }
}

function stateOf(offset: number, lo: number, clusterSize: number): BlockState {
  if (offset === 0) return BLOCK.none;
  if ((lo & 0xfffffe00) % clusterSize !== 0) return BLOCK.unaligned;
  return offset + clusterSize > FORMAT_LIMITS.maxRead ? BLOCK.unreadable : BLOCK.there;
}

function assertUsable(header: Header): void {
  const { refcountOrder, refcountTableClusters: clusters, refcountTableOffset: offset } = header;
  if (refcountOrder > FORMAT_LIMITS.maxRefcountOrder) {
    throw new UnqcowError('BAD_REFCOUNT_ORDER', `refcounts of 2^${refcountOrder} bits`, {
      at: 'header.refcount_order',
    });
  }
  if (hasRefcountTable(header)) return;
  const message = clusters === 0 ? 'there is no refcount table' : `${clusters} clusters cannot lie at ${offset}`;
  throw new UnqcowError('BAD_REFTABLE', message, { at: 'header.refcount_table_offset' });
}

type StoredReader = (view: DataView, index: number) => number;

/** How refcounts of 2^order bits lie in a block: those narrower than a byte from its lowest bit on. */
function storedReader(order: number): StoredReader {
  switch (order) {
    case 6:
      return (view, i) => view.getUint32(i * 8) * 2 ** 32 + view.getUint32(i * 8 + 4);
    case 5:
      return (view, i) => view.getUint32(i * 4);
    case 4:
      return (view, i) => view.getUint16(i * 2);
    case 3:
      return (view, i) => view.getUint8(i);
    default: {
      const bits = 2 ** order;
      const perByte = 8 / bits;
      return (view, i) => (view.getUint8(Math.floor(i / perByte)) >> ((i % perByte) * bits)) & (2 ** bits - 1);
    }
  }
}

/** What is wrong with the entries of the table themselves. */
export function checkEntries(refcounts: Refcounts, findings: Findings): void {
  for (let i = 0; i < refcounts.size; i += 1) {
    const at = `reftable[${i}]`;
    if (refcounts.hasReservedBits(i)) {
      findings.add('REFTABLE_RESERVED_BITS', () => ({ at, message: 'reserved bits are set' }));
    } else if (refcounts.isUnaligned(i)) {
      const message = `the refcount block at ${refcounts.offsetOf(i)} does not start on a cluster`;
      findings.add('REFBLOCK_UNALIGNED', () => ({ at, message }));
    }
  }
}
