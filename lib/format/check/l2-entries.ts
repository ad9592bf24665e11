import { COMPRESSED, COPIED, hasL2ReservedBits, hostOffsetOf, streamOf } from '../entry-bits.ts';
import { clusterSizeOf, l2EntryBytesOf, type Qcow2Geometry } from '../geometry.ts';
import { USE } from './cluster-window.ts';
import type { Findings } from './findings.ts';
import type { L2Table } from './l2-tables.ts';
import type { Pass } from './pass.ts';

/** Clusters of the active disk, as `qemu-img check` counts them. */
export interface Allocation {
  allocated: number;
  compressed: number;
  fragmented: number;
}

/** One entry, and how often it is there: as often as its table is named. */
interface Entry {
  readonly index: number;
  /** Its place in the table, in bytes. */
  readonly at: number;
  readonly hi: number;
  readonly lo: number;
  /** Subcluster bits; 0 where there are none. */
  readonly zeroBits: number;
  readonly allocatedBits: number;
}

/**
 * Counts what an L2 table refers to in the pass's window. The first pass also says what is wrong with the entries
 * themselves, and counts clusters.
 *
 * @see qcow2.rst § Cluster mapping, L2 table entry; § Extended L2 entries
 */
export class L2Walk {
  readonly #geometry: Qcow2Geometry;
  readonly #clusterSize: number;
  readonly #pass: Pass;
  readonly #findings: Findings;
  readonly #allocation: Allocation;

  constructor(geometry: Qcow2Geometry, pass: Pass, findings: Findings, allocation: Allocation) {
    this.#geometry = geometry;
    this.#clusterSize = clusterSizeOf(geometry);
    this.#pass = pass;
    this.#findings = findings;
    this.#allocation = allocation;
  }

  walk(table: L2Table, view: DataView): void {
    const entryBytes = l2EntryBytesOf(this.#geometry);
    const { extendedL2 } = this.#geometry;
    let follows = 0; // where the next cluster would lie, were nothing fragmented
    for (let index = 0, at = 0; at < view.byteLength; index += 1, at += entryBytes) {
      const hi = view.getUint32(at);
      const lo = view.getUint32(at + 4);
      const zeroBits = extendedL2 ? view.getUint32(at + 8) : 0;
      const allocatedBits = extendedL2 ? view.getUint32(at + 12) : 0;
      if ((hi | lo | zeroBits | allocatedBits) === 0) continue;
      const entry: Entry = { index, at, hi, lo, zeroBits, allocatedBits };
      if ((hi & COMPRESSED) !== 0) {
        this.#compressed(table, entry);
        continue;
      }
      if (this.#pass.isFirst) this.#checkReserved(table, entry);
      const host = hostOffsetOf(hi, lo);
      if (!this.#isAllocated(entry, host)) {
        if (this.#pass.isFirst && allocatedBits !== 0) this.#unallocated(table, entry);
        continue;
      }
      this.#data(table, entry, host, follows);
      follows = host + this.#clusterSize;
    }
  }

  /** In a data file offset 0 is a place like any other; then the copied flag says that it is allocated. */
  #isAllocated({ hi, lo }: Entry, host: number): boolean {
    if (host !== 0) return true;
    const isZero = (lo & 1) !== 0 && !this.#geometry.extendedL2;
    return this.#geometry.dataFile && (hi & COPIED) !== 0 && !isZero;
  }

  #data(table: L2Table, entry: Entry, host: number, follows: number): void {
    const { isFirst } = this.#pass;
    const place = () => placeOf(table, entry);
    if (isFirst) {
      this.#checkPlace(table, entry, host);
      this.#allocation.allocated += table.active;
      if (follows !== 0 && host !== follows) this.#allocation.fragmented += table.active;
    }
    if (!this.#geometry.dataFile) {
      const times = table.active + table.inactive;
      this.#pass.refer({ start: host, end: host + this.#clusterSize }, USE.data, times, place);
    }
    this.#pass.checkCopied(table, { host, isCopied: (entry.hi & COPIED) !== 0, place });
  }

  #checkPlace(table: L2Table, entry: Entry, host: number): void {
    if ((entry.zeroBits & entry.allocatedBits) !== 0) {
      this.#add('INVALID_SUBCLUSTER', table, entry, 'a subcluster is both allocated and zero');
    }
    if (host % this.#clusterSize !== 0) {
      this.#add('CLUSTER_UNALIGNED', table, entry, `the cluster at ${host} does not start on a cluster`);
    }
  }

  #checkReserved(table: L2Table, entry: Entry): void {
    if (hasL2ReservedBits(entry.hi, entry.lo)) this.#add('L2E_RESERVED_BITS', table, entry, 'reserved bits are set');
  }

  #unallocated(table: L2Table, entry: Entry): void {
    this.#add('INVALID_SUBCLUSTER', table, entry, 'subclusters are allocated, but the cluster is not');
  }

  #compressed(table: L2Table, entry: Entry): void {
    const { isFirst } = this.#pass;
    if (isFirst && (entry.hi & COPIED) !== 0) {
      this.#add('COPIED_ON_COMPRESSED', table, entry, 'the copied flag is set on a compressed cluster');
    }
    if (this.#geometry.dataFile) {
      if (isFirst) this.#add('COMPRESSED_IN_DATA_FILE', table, entry, 'a data file has no compressed clusters');
      return;
    }
    if ((entry.zeroBits | entry.allocatedBits) !== 0) {
      if (isFirst) this.#add('SUBCLUSTERS_ON_COMPRESSED', table, entry, 'a compressed cluster has subcluster bits');
      return;
    }
    if (isFirst) {
      this.#allocation.allocated += table.active;
      this.#allocation.compressed += table.active;
      // Each is fragmented by nature: streams share sectors, which can only be read whole.
      this.#allocation.fragmented += table.active;
    }
    const { host, length } = streamOf(entry.hi, entry.lo, this.#geometry.clusterBits);
    const times = table.active + table.inactive;
    this.#pass.refer({ start: host, end: host + length }, USE.compressed, times, () => placeOf(table, entry));
  }

  #add(code: Parameters<Findings['add']>[0], table: L2Table, entry: Entry, message: string): void {
    this.#findings.add(code, () => ({ at: placeOf(table, entry), message }), table.active + table.inactive);
  }
}

/** Where to find an entry: by the L1 table that names its table, or by where it lies in the file. */
export const placeOf = ({ l1Index, offset }: L2Table, { index, at }: Pick<Entry, 'index' | 'at'>) =>
  l1Index === undefined ? `file[${offset + at}]` : `l2[${l1Index}][${index}]`;
