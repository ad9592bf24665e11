import type { ByteRange } from '../../ranges.ts';
import { SECTOR } from '../../units.ts';

/** What takes bytes of a version 1 file. */
export type Claimant = 'l2' | 'data' | 'compressed';

/** What a claim meets: a table on either side, or data on data. */
export type Conflict = 'table' | 'data';

/** Whole sectors of L2 tables and of data, and sectors of which a table or a compressed cluster has a part. */
const WHOLE = { l2: 1, data: 2, compressed: 2 } as const;
const PART = { l2: 4, data: 8, compressed: 8 } as const;
const ANY_WHOLE = 3;
const ANY_TABLE = 5;

/** Longer than any table or cluster of version 1, which have 64 KiB at most. */
const MARGIN = 65_536 / SECTOR + 2;

/**
 * Who has which sectors of a stretch of the file, a byte of memory for each. Version 1 aligns nothing to clusters, and
 * compressed clusters not even to sectors: what shares a sector without having all of it is taken to have other bytes.
 */
export class SectorClaims {
  readonly #sectors: Uint8Array;
  readonly #length: number;
  #start = 0;

  /** @param length In sectors. */
  constructor(length: number) {
    this.#length = length;
    this.#sectors = new Uint8Array(length + MARGIN);
  }

  /** Starts again with the sectors from `start` on. */
  moveTo(start: number): void {
    this.#start = start;
    this.#sectors.fill(0);
  }

  /**
   * Claims bytes, as far as they lie in the stretch or just past it.
   *
   * @returns what was there already; only where the range starts in this stretch, so that it is told once.
   */
  claim({ start, end }: ByteRange, by: Claimant): Conflict | undefined {
    const first = Math.floor(start / SECTOR);
    const last = Math.ceil(end / SECTOR);
    let met = 0;
    for (let sector = Math.max(first, this.#start); sector < Math.min(last, this.#end); sector += 1) {
      const isWhole = by === 'data' || (sector * SECTOR >= start && (sector + 1) * SECTOR <= end);
      const there = this.#sectors[sector - this.#start] as number;
      met |= isWhole ? there : there & ANY_WHOLE;
      this.#sectors[sector - this.#start] = there | (isWhole ? WHOLE[by] : PART[by]);
    }
    const isHere = first >= this.#start && first < this.#start + this.#length;
    if (met === 0 || !isHere) return undefined;
    return by === 'l2' || (met & ANY_TABLE) !== 0 ? 'table' : 'data';
  }

  get #end(): number {
    return this.#start + this.#sectors.length;
  }
}
