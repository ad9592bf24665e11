import type { ErrorCode } from '../errors.ts';
import type { Extent } from '../format/extent.ts';

/** A stretch of disk that is zeros, since the image is damaged there. */
export interface LostExtent {
  /** Guest bytes. */
  readonly start: number;
  readonly length: number;
  /** How many files down the chain the damage lies. */
  readonly depth: number;
  /** Why, as a refusal would say it of the first place. */
  readonly code: ErrorCode;
  readonly message: string;
  /** The first place: `l1[3]`, `l2[3][17]`, `disk[65536]`. */
  readonly at?: string | undefined;
}

export interface LostReport {
  /** Of the disk. */
  readonly bytes: number;
  /** In the disk's order; neighbours that are lost for one reason are one. */
  readonly extents: readonly LostExtent[];
  /** Extents that are not listed: more than 1,000 are only counted. */
  readonly more: number;
}

const MOST_LISTED = 1000;

/** Gathers what a disk has lost, as a walk meets it: in order, and each once. */
export class Losses {
  readonly #extents: LostExtent[] = [];
  #last: LostExtent | undefined;
  #more = 0;
  #bytes = 0;

  add(depth: number, { start, end, code, message, at }: Extent & { readonly kind: 'lost' }): void {
    const last = this.#last;
    const length = end - start;
    this.#bytes += length;
    if (last && last.code === code && last.depth === depth && last.start + last.length === start) {
      this.#last = { ...last, length: last.length + length };
    } else {
      this.#settle();
      this.#last = { start, length, depth, code, message, at };
    }
  }

  report(): LostReport {
    this.#settle();
    return { bytes: this.#bytes, extents: [...this.#extents], more: this.#more };
  }

  #settle(): void {
    if (!this.#last) return;
    if (this.#extents.length < MOST_LISTED) this.#extents.push(this.#last);
    else this.#more += 1;
    this.#last = undefined;
  }
}
