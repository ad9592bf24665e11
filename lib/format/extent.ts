import type { ErrorCode, UnqcowError } from '../errors.ts';
import type { ByteRange } from '../ranges.ts';

/** One compressed cluster's stream: where it starts in the host file and how long it is at most, in bytes. */
export interface CompressedCluster {
  readonly host: number;
  readonly length: number;
}

/**
 * A stretch of the guest disk, `[start, end)` in guest bytes, that is made of one thing.
 *
 * - `unallocated`: not in this image; zeros, where nothing backs it. `host` is where space is set aside for it, if it is.
 * - `zero`: zeros; `host` likewise.
 * - `data`: plain bytes at `host`. If the file ends inside the last cluster, the missing bytes are zeros.
 * - `compressed`: one stream a cluster, in guest order, the first for the cluster at `origin`, which may be before `start`.
 * - `lost`: zeros, since the image is damaged: only where it is read as far as it goes.
 */
export type Extent =
  | ({ readonly kind: 'unallocated'; readonly host?: number | undefined } & ByteRange)
  | ({ readonly kind: 'zero'; readonly host?: number | undefined } & ByteRange)
  | ({ readonly kind: 'data'; readonly host: number } & ByteRange)
  | ({
      readonly kind: 'compressed';
      readonly origin: number;
      readonly clusterSize: number;
      readonly clusters: readonly CompressedCluster[];
    } & ByteRange)
  | ({ readonly kind: 'lost' } & Fault & ByteRange);

/** Why a stretch is lost: as a refusal would say it of the first place where that is so. */
export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
  readonly at: string | undefined;
}

/** The part of an extent that lies within a range, which it must overlap. */
export function clip(extent: Extent, range: ByteRange): Extent {
  const start = Math.max(extent.start, range.start);
  const end = Math.min(extent.end, range.end);
  if (extent.kind === 'compressed') {
    const { origin, clusterSize } = extent;
    const from = Math.floor((start - origin) / clusterSize);
    const clusters = extent.clusters.slice(from, Math.ceil((end - origin) / clusterSize));
    return { ...extent, start, end, origin: origin + from * clusterSize, clusters };
  }
  if (extent.kind === 'data') return { ...extent, start, end, host: extent.host + start - extent.start };
  if (extent.kind === 'lost') return { ...extent, start, end };
  return { ...extent, start, end, host: extent.host === undefined ? undefined : extent.host + start - extent.start };
}

type Growing<T> = T extends unknown
  ? { -readonly [K in keyof T]: T[K] extends readonly (infer U)[] ? U[] : T[K] }
  : never;

/** Joins neighbours of one kind as they come in guest order. */
export class ExtentJoiner {
  #done: Extent[] = [];
  #open: Growing<Extent> | undefined;

  unallocated(start: number, end: number, host?: number): void {
    this.#holes('unallocated', start, end, host);
  }

  zero(start: number, end: number, host: number | undefined): void {
    this.#holes('zero', start, end, host);
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
    } else this.#begin({ kind: 'compressed', start, end, origin: start, clusterSize, clusters: [cluster] });
  }

  lost(start: number, end: number, { code, message, at }: Pick<UnqcowError, keyof Fault>): void {
    const open = this.#open;
    if (open?.kind === 'lost' && open.code === code) open.end = end;
    else this.#begin({ kind: 'lost', start, end, code, message, at });
  }

  /** How many are complete so far. */
  get count(): number {
    return this.#done.length;
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

  #holes(kind: 'unallocated' | 'zero', start: number, end: number, host: number | undefined): void {
    const open = this.#open;
    const follows =
      open?.kind === kind && host === (open.host === undefined ? undefined : open.host + start - open.start);
    if (follows) open.end = end;
    else this.#begin({ kind, start, end, host });
  }

  #begin(extent: Growing<Extent>): void {
    if (this.#open) this.#done.push(this.#open);
    this.#open = extent;
  }
}
