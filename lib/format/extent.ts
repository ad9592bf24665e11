import type { ByteRange } from '../ranges.ts';

/** One compressed cluster's stream: where it starts in the host file and how long it is at most, in bytes. */
export interface CompressedCluster {
  readonly host: number;
  readonly length: number;
}

/**
 * A stretch of the guest disk, `[start, end)` in guest bytes, that is made of one thing.
 *
 * - `unallocated`: not in this image; zeros, where nothing backs it.
 * - `zero`: zeros; `host` is where space is set aside for it, if it is.
 * - `data`: plain bytes at `host`. The file may end less than a cluster before they do: what is missing is zeros.
 * - `compressed`: one stream a cluster, in guest order. Always whole clusters, but for the disk's end.
 */
export type Extent =
  | ({ readonly kind: 'unallocated' } & ByteRange)
  | ({ readonly kind: 'zero'; readonly host: number | undefined } & ByteRange)
  | ({ readonly kind: 'data'; readonly host: number } & ByteRange)
  | ({
      readonly kind: 'compressed';
      readonly clusterSize: number;
      readonly clusters: readonly CompressedCluster[];
    } & ByteRange);

type Growing<T> = T extends unknown
  ? { -readonly [K in keyof T]: T[K] extends readonly (infer U)[] ? U[] : T[K] }
  : never;

/** Joins neighbours of one kind as they come in guest order. */
export class ExtentJoiner {
  #done: Extent[] = [];
  #open: Growing<Extent> | undefined;

  unallocated(start: number, end: number): void {
    if (this.#open?.kind === 'unallocated') this.#open.end = end;
    else this.#begin({ kind: 'unallocated', start, end });
  }

  zero(start: number, end: number, host: number | undefined): void {
    const open = this.#open;
    const follows =
      open?.kind === 'zero' && host === (open.host === undefined ? undefined : open.host + start - open.start);
    if (follows) open.end = end;
    else this.#begin({ kind: 'zero', start, end, host });
  }

  data(start: number, end: number, host: number): void {
    const open = this.#open;
    if (open?.kind === 'data' && host === open.host + start - open.start) open.end = end;
    else this.#begin({ kind: 'data', start, end, host });
  }

  compressed(start: number, end: number, clusterSize: number, cluster: CompressedCluster): void {
    const open = this.#open;
    if (open?.kind === 'compressed') {
      open.end = end;
      open.clusters.push(cluster);
    } else this.#begin({ kind: 'compressed', start, end, clusterSize, clusters: [cluster] });
  }

  /**
   * What is complete so far. The last extent is held back, since its neighbour may still join it — but not compressed
   * ones, which would grow with the image.
   */
  take(): Extent[] {
    if (this.#open?.kind === 'compressed') return this.finish();
    const done = this.#done;
    this.#done = [];
    return done;
  }

  /** Everything that is left. */
  finish(): Extent[] {
    const done = this.#done;
    if (this.#open) done.push(this.#open);
    this.#done = [];
    this.#open = undefined;
    return done;
  }

  #begin(extent: Growing<Extent>): void {
    if (this.#open) this.#done.push(this.#open);
    this.#open = extent;
  }
}
