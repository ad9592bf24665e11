import { type FindingCode, FindingCodes } from '../../errors.ts';

/** One thing that is wrong with an image, or several of one kind in one place. */
export interface Finding {
  readonly code: FindingCode;
  readonly message: string;
  /** `header.…`, `l1[3]`, `l2[3][17]`, `snapshots[2].l1`, `reftable[0]`; `file[65536]` is a host offset. */
  readonly at: string;
  /** How many times it counts, where that is not once: a table that is used twice has each fault twice. */
  readonly times?: number;
}

/** How much was found, by what it means. */
export interface Counts {
  /** What could not be checked. */
  errors: number;
  corruptions: number;
  leaks: number;
  /** Corruptions that `qemu-img check` does not count. */
  ownCorruptions: number;
}

/** Listed of each code: an image with a million leaks must not make a million lines. */
const LISTED_PER_CODE = 20;

/** Gathers findings: counts all of them, lists the first of each code. */
export class Findings {
  readonly counts: Counts = { errors: 0, corruptions: 0, leaks: 0, ownCorruptions: 0 };
  readonly #byCode = new Map<FindingCode, { count: number; readonly listed: Finding[] }>();

  /** @param describe A function, so that what is only counted costs no text. */
  add(code: FindingCode, describe: () => { readonly at: string; readonly message: string }, times = 1): void {
    if (times === 0) return;
    const known = this.#byCode.get(code) ?? { count: 0, listed: [] };
    this.#byCode.set(code, known);
    known.count += times;
    this.counts[FindingCodes[code].counts] += times;
    if (known.listed.length >= LISTED_PER_CODE) return;
    known.listed.push({ code, ...describe(), ...(times === 1 ? {} : { times }) });
  }

  /** The first of each code, in the order in which codes were first met. */
  list(): Finding[] {
    return [...this.#byCode.values()].flatMap(({ listed }) => listed);
  }

  /** How many there are of each code, those included that are not listed. */
  byCode(): Partial<Record<FindingCode, number>> {
    return Object.fromEntries([...this.#byCode].map(([code, { count }]) => [code, count]));
  }
}
