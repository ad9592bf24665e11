import type { ByteRange } from '../../ranges.ts';
import { type ClusterWindow, USE } from './cluster-window.ts';
import type { Findings } from './findings.ts';
import type { L2Table } from './l2-tables.ts';
import type { Refcounts } from './refcounts.ts';

/** An entry that names a cluster of data, and what it claims of it. */
interface Claim {
  readonly host: number;
  readonly isCopied: boolean;
  readonly place: () => string;
}

/** A claim on a cluster outside of the window, whose refcount must be looked up. */
interface Far {
  readonly cluster: number;
  readonly table: L2Table;
  readonly claim: Claim;
}

/** What of an image a pass looks at. */
export interface Scope {
  readonly clusterSize: number;
  /** Length of the file in bytes, up to the end of its last sector. */
  readonly fileLength: number;
  /** Data lies in another file, each cluster of which belongs to one entry. */
  readonly dataFile: boolean;
  readonly refcounts: Refcounts;
  readonly findings: Findings;
  readonly window: ClusterWindow;
}

/** One walk over all tables. It counts references to the clusters of one window. */
export class Pass {
  readonly isFirst: boolean;
  /** Clusters of the file, and one more if a reference ends less than a cluster past its end. */
  clusters: number;
  readonly #scope: Scope;
  #far: Far[] = [];

  constructor(scope: Scope, isFirst: boolean) {
    this.#scope = scope;
    this.isFirst = isFirst;
    this.clusters = Math.ceil(scope.fileLength / scope.clusterSize);
  }

  /** Counts `times` references to the clusters that have bytes of a range, if the file has them but for part of the last. */
  refer({ start, end }: ByteRange, use: number, times: number, place: () => string): void {
    const { clusterSize, fileLength, findings, window } = this.#scope;
    if (end - fileLength >= clusterSize) {
      if (!this.isFirst) return;
      const message = `the file's ${fileLength} bytes end before the ${end - start} bytes at ${start} do`;
      findings.add('REFERENCE_BEYOND_EOF', () => ({ at: place(), message }), times);
      return;
    }
    const last = Math.floor((end - 1) / clusterSize);
    if (last >= this.clusters) this.clusters = last + 1;
    window.refer(Math.floor(start / clusterSize), last, use, times);
  }

  /** The copied flag of L1 entries must say whether the L2 table's refcount is 1. Those of snapshots do not matter. */
  checkTable(table: L2Table): void {
    const { active, copied, offset, l1Index } = table;
    if (active === 0 || offset === 0) return;
    const place = () => `l1[${l1Index}]`;
    const [flagged, plain] = [copied, active - copied];
    if (flagged > 0) this.#check({ ...table, active: flagged }, { host: offset, isCopied: true, place });
    if (plain > 0) this.#check({ ...table, active: plain }, { host: offset, isCopied: false, place });
  }

  /** The copied flag of an L2 entry must say whether the cluster's refcount is 1, unless that of the table is unknown. */
  checkCopied(table: L2Table, claim: Claim): void {
    const { clusterSize, dataFile, refcounts } = this.#scope;
    if (table.active === 0 || table.offset === 0) return;
    if (!dataFile) {
      if (refcounts.isReadable(Math.floor(table.offset / clusterSize))) this.#check(table, claim);
    } else if (this.isFirst && refcounts.isReadable(Math.floor(table.offset / clusterSize))) {
      this.#hold(table, claim, 1);
    }
  }

  #check(table: L2Table, claim: Claim): void {
    const { clusterSize, refcounts, window } = this.#scope;
    const cluster = Math.floor(claim.host / clusterSize);
    if (window.has(cluster)) {
      if (refcounts.isReadable(cluster)) this.#hold(table, claim, window.stored(cluster));
    } else if (this.isFirst && cluster > Math.ceil(this.#scope.fileLength / clusterSize)) {
      if (refcounts.counts(cluster)) this.#far.push({ cluster, table, claim });
      else if (refcounts.isReadable(cluster)) this.#hold(table, claim, 0);
    }
  }

  /** Looks up refcounts of places that the file does not have: few, or `CHECK_LIMIT`. */
  async settle(signal?: AbortSignal): Promise<void> {
    const far = this.#far;
    this.#far = [];
    for (const { cluster, table, claim } of far) {
      this.#hold(table, claim, await this.#scope.refcounts.lookUp(cluster, signal));
    }
  }

  #hold({ active }: L2Table, { host, isCopied, place }: Claim, refcount: number): void {
    if ((refcount === 1) === isCopied) return;
    const message = `the copied flag is ${isCopied ? 'set' : 'not set'}, but the refcount of ${host} is ${refcount}`;
    this.#scope.findings.add('COPIED_FLAG_WRONG', () => ({ at: place(), message }), active);
  }

  /** Counts the refcount blocks, after all else: nothing but the table's entry may refer to one. */
  referBlocks(): void {
    const { clusterSize, refcounts, findings, window } = this.#scope;
    for (let i = 0; i < refcounts.size; i += 1) {
      if (refcounts.hasReservedBits(i) || refcounts.isUnaligned(i)) continue;
      const offset = refcounts.offsetOf(i);
      if (offset === 0) continue;
      const at = `reftable[${i}]`;
      const cluster = offset / clusterSize;
      if (cluster >= this.clusters) {
        const message = `the refcount block at ${offset} lies past the file's ${this.#scope.fileLength} bytes`;
        if (this.isFirst) findings.add('REFBLOCK_BEYOND_EOF', () => ({ at, message }));
        continue;
      }
      this.refer({ start: offset, end: offset + clusterSize }, USE.refcountBlock, 1, () => at);
      if (!window.has(cluster) || window.count(cluster) === 1) continue;
      const message = `the refcount block at ${offset} is referred to ${window.count(cluster)} times`;
      findings.add('REFBLOCK_SHARED', () => ({ at, message }));
    }
  }
}
