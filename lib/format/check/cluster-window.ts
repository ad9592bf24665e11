import { viewOf } from '../struct.ts';
import type { Findings } from './findings.ts';
import type { Refcounts } from './refcounts.ts';

/** What refers to a cluster of the file: bits, so that a cluster can be several things at once. */
export const USE = {
  header: 1,
  activeL1: 2,
  activeL2: 4,
  refcountTable: 8,
  refcountBlock: 16,
  snapshotTable: 32,
  inactiveL1: 64,
  inactiveL2: 128,
  bitmapDirectory: 256,
  bitmapTable: 512,
  bitmapData: 1024,
  encryptionHeader: 2048,
  data: 4096,
  compressed: 8192,
} as const;

const NAMES: Readonly<Record<keyof typeof USE, string>> = {
  header: 'header',
  activeL1: 'active L1 table',
  activeL2: 'active L2 table',
  refcountTable: 'refcount table',
  refcountBlock: 'refcount block',
  snapshotTable: 'snapshot table',
  inactiveL1: 'inactive L1 table',
  inactiveL2: 'inactive L2 table',
  bitmapDirectory: 'bitmap directory',
  bitmapTable: 'bitmap table',
  bitmapData: 'bitmap',
  encryptionHeader: 'encryption header',
  data: 'data cluster',
  compressed: 'compressed cluster',
};

const GUEST_DATA = USE.data | USE.compressed;

/** References to one cluster are counted up to this: wider refcounts than 32 bits have room for more, but no image does. */
const MAX_COUNT = 2 ** 32 - 1;

/** Memory for a cluster of the window, in bytes. */
export const bytesPerCluster = (refcountBits: number): number => 4 + 2 + refcountBits / 8;

/** A stretch of the file, in clusters: how often each is referred to, by what, and what refcount it has. */
export class ClusterWindow {
  /** Clusters `[start, end)`. */
  start = 0;
  end = 0;
  readonly #counts: Uint32Array;
  readonly #uses: Uint16Array;
  readonly #stored: Uint8Array;
  readonly #storedView: DataView;
  readonly #most: number;
  readonly #refcounts: Refcounts;
  readonly #findings: Findings;
  readonly #clusterSize: number;

  /** @param length In clusters, a multiple of 8. */
  constructor(length: number, clusterSize: number, refcounts: Refcounts, findings: Findings) {
    this.#counts = new Uint32Array(length);
    this.#uses = new Uint16Array(length);
    this.#stored = new Uint8Array((length * refcounts.bits) / 8);
    this.#storedView = viewOf(this.#stored);
    this.#most = Math.min(2 ** refcounts.bits - 1, MAX_COUNT);
    this.#refcounts = refcounts;
    this.#findings = findings;
    this.#clusterSize = clusterSize;
  }

  /** Starts again with another stretch, up to cluster `limit` at most, and reads its refcounts. */
  async moveTo(start: number, limit: number, signal?: AbortSignal): Promise<void> {
    this.start = start;
    this.end = Math.min(start + this.#counts.length, limit);
    this.#counts.fill(0);
    this.#uses.fill(0);
    await this.#refcounts.load(start, start + this.#counts.length, this.#stored, signal);
  }

  has(cluster: number): boolean {
    return cluster >= this.start && cluster < this.end;
  }

  /** The refcount of a cluster of the window, which must be readable. */
  stored(cluster: number): number {
    return this.#refcounts.at(this.#storedView, cluster - this.start);
  }

  /** How often a cluster of the window is referred to, as far as the refcount's width goes. */
  count(cluster: number): number {
    return this.#counts[cluster - this.start] as number;
  }

  /** Counts what refers to clusters `[first, last]`; of them, those that lie in the window. */
  refer(first: number, last: number, use: number, times: number): void {
    const to = Math.min(last, this.end - 1);
    for (let cluster = Math.max(first, this.start); cluster <= to; cluster += 1) {
      const i = cluster - this.start;
      const count = (this.#counts[i] as number) + times;
      this.#counts[i] = Math.min(count, this.#most);
      this.#uses[i] = (this.#uses[i] as number) | use;
      if (count > this.#most) this.#overflow(cluster, count - this.#most);
    }
  }

  #overflow(cluster: number, by: number): void {
    const describe = () => ({
      at: this.#place(cluster),
      message: `the cluster is referred to more often than its refcount can say, which is ${this.#most} times`,
    });
    this.#findings.add('REFCOUNT_OVERFLOW', describe, by);
  }

  /**
   * Holds what was counted against what is stored, up to cluster `end`.
   *
   * @returns the last cluster that is in use either way, or nothing.
   */
  compare(end: number): number | undefined {
    let highest: number | undefined;
    for (let cluster = this.start; cluster < Math.min(this.end, end); cluster += 1) {
      const i = cluster - this.start;
      const uses = this.#uses[i] as number;
      if (uses !== 0 && isOverlap(uses)) this.#overlap(cluster, uses);
      if (!this.#refcounts.isReadable(cluster)) {
        const message = 'the refcount of the cluster cannot be read: its block is misplaced';
        this.#findings.add('REFCOUNT_UNREADABLE', () => ({ at: this.#place(cluster), message }));
        continue;
      }
      const stored = this.#refcounts.at(this.#storedView, i);
      const count = this.#counts[i] as number;
      if (stored > 0 || count > 0) highest = cluster;
      if (stored !== count) this.#mismatch(cluster, stored, count);
    }
    return highest;
  }

  #mismatch(cluster: number, stored: number, count: number): void {
    const describe = () => ({
      at: this.#place(cluster),
      message: `the refcount of cluster ${cluster} is ${stored}, and there are ${count} references to it`,
    });
    this.#findings.add(stored > count ? 'CLUSTER_LEAKED' : 'REFCOUNT_TOO_LOW', describe);
  }

  #overlap(cluster: number, uses: number): void {
    const describe = () => {
      const names = (Object.keys(USE) as (keyof typeof USE)[]).filter((use) => (uses & USE[use]) !== 0);
      return {
        at: this.#place(cluster),
        message: `cluster ${cluster} is used as ${names.map((name) => NAMES[name]).join(' and as ')}`,
      };
    };
    this.#findings.add('METADATA_OVERLAP', describe);
  }

  #place(cluster: number): string {
    return `file[${cluster * this.#clusterSize}]`;
  }
}

/** Whether metadata has company. Snapshots share L2 tables with the active disk, and compressed clusters any cluster. */
function isOverlap(uses: number): boolean {
  const l2 = (uses & USE.inactiveL2) !== 0 ? USE.activeL2 : 0;
  const metadata = (uses & ~GUEST_DATA & ~USE.inactiveL2) | l2;
  if (metadata === 0) return false;
  return (metadata & (metadata - 1)) !== 0 || (uses & GUEST_DATA) !== 0;
}
