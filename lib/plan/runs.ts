import type { Extent } from '../format/extent.ts';
import type { ByteRange } from '../ranges.ts';
import { PLAN_LIMITS } from './s3-limits.ts';

/**
 * A stretch of disk that is made of one thing.
 *
 * - `zero`: zeros.
 * - `copy`: plain, and in one piece in the image's file, from `host` on.
 * - `data`: anything else, out of `stored` bytes of files.
 */
export type Run =
  | ({ readonly kind: 'zero' } & ByteRange)
  | ({ readonly kind: 'copy'; readonly host: number } & ByteRange)
  | ({ readonly kind: 'data'; readonly stored: number } & ByteRange);

export interface RunLimits {
  readonly diskSize: number;
  /** Length of the file that can be copied from. */
  readonly fileSize: number;
  /** Runs start and end on multiples of this, or at the disk's end: the largest cluster of the disk's files. */
  readonly unit: number;
  /** Zeros and plain pieces that are shorter are data. */
  readonly shortest?: number | undefined;
}

/** No more runs than this, however large the disk: about 20 MiB of them. */
const MAX_RUNS = 2 ** 17;

type Candidate = ByteRange & { readonly kind: 'zero' | 'copy'; readonly shift: number };

/**
 * Takes a disk's extents as they come, in order, and keeps of them what a plan needs: which stretches are zeros or lie in
 * one piece for long enough to be worth a part of their own, and how much is stored of the rest.
 */
export class Runs {
  readonly #limits: RunLimits;
  /** Data comes in runs of at most this length, too. */
  readonly #shortest: number;
  readonly #runs: Run[] = [];
  #candidate: Candidate | undefined;
  /** Where the last extent ended. */
  #at = 0;

  constructor(limits: RunLimits) {
    this.#limits = limits;
    let shortest: number = limits.shortest ?? PLAN_LIMITS.shortestRun;
    while (limits.diskSize / shortest > MAX_RUNS) shortest *= 2;
    this.#shortest = shortest;
  }

  /** @param copyable Whether S3 could copy its bytes out of the file that they lie in. */
  add(extent: Extent, copyable = true): void {
    const { start, end } = extent;
    if (start > this.#at) this.#extend({ kind: 'zero', start: this.#at, end: start, shift: 0 });
    this.#at = end;
    if (extent.kind === 'compressed') this.#addCompressed(extent);
    else if (extent.kind !== 'data') this.#extend({ kind: 'zero', start, end, shift: 0 });
    else if (!copyable) this.#addData(start, end, end - start);
    else {
      // Bytes that the file does not have cannot be copied out of it.
      const there = Math.max(start, Math.min(end, start + this.#limits.fileSize - extent.host));
      if (there > start) this.#extend({ kind: 'copy', start, end: there, shift: extent.host - start });
      if (there < end) this.#addData(there, end, 0);
    }
  }

  get unit(): number {
    return this.#limits.unit;
  }

  /** All runs, in order, from 0 to the disk's end; what no extent named is zeros. No more can be added after. */
  list(): readonly Run[] {
    const { diskSize } = this.#limits;
    if (this.#at < diskSize) this.#extend({ kind: 'zero', start: this.#at, end: diskSize, shift: 0 });
    this.#at = diskSize;
    this.#settle();
    return this.#runs;
  }

  #addCompressed({ start, end, origin, clusterSize, clusters }: Extent & { readonly kind: 'compressed' }): void {
    clusters.forEach(({ length }, i) => {
      const at = origin + i * clusterSize;
      this.#addData(Math.max(start, at), Math.min(end, at + clusterSize), length);
    });
  }

  #addData(start: number, end: number, stored: number): void {
    this.#settle();
    this.#push(start, end, stored);
  }

  #extend(next: Candidate): void {
    const last = this.#candidate;
    const continues = last?.kind === next.kind && last.shift === next.shift;
    if (!continues) this.#settle();
    this.#candidate = continues ? { ...last, end: next.end } : next;
  }

  /** Ends the candidate: what is aligned of it becomes a run, its ends data; if that is too short, all of it is data. */
  #settle(): void {
    const candidate = this.#candidate;
    if (!candidate) return;
    this.#candidate = undefined;
    const { kind, start, end, shift } = candidate;
    const { unit, diskSize } = this.#limits;
    const from = Math.ceil(start / unit) * unit;
    const to = end === diskSize ? end : Math.floor(end / unit) * unit;
    const stored = (length: number) => (kind === 'copy' ? length : 0);
    if (to - from < this.#shortest) {
      this.#push(start, end, stored(end - start));
      return;
    }
    this.#push(start, from, stored(from - start));
    this.#runs.push(
      kind === 'zero' ? { kind, start: from, end: to } : { kind, start: from, end: to, host: from + shift },
    );
    this.#push(to, end, stored(end - to));
  }

  /** Adds data, cut where a multiple of the shortest run lies. */
  #push(start: number, end: number, stored: number): void {
    for (let at = start; at < end; ) {
      const next = Math.min(end, (Math.floor(at / this.#shortest) + 1) * this.#shortest);
      const share = stored * ((next - at) / (end - start));
      const last = this.#runs.at(-1);
      if (last?.kind === 'data' && at % this.#shortest !== 0) {
        this.#runs[this.#runs.length - 1] = { ...last, end: next, stored: last.stored + share };
      } else this.#runs.push({ kind: 'data', start: at, end: next, stored: share });
      at = next;
    }
  }
}
