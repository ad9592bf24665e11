import type { Extent } from './extent.ts';
import { clusterSizeOf, type Geometry } from './geometry.ts';

/** Clusters are watched by a bit each, so many of them at a time. */
const PAGE_CLUSTERS = 2 ** 19;
const MAX_PAGES = 512;
/** More than there are pages in a file, so that those of each layer have numbers of their own. */
const LAYER_PAGES = 2 ** 40;

/**
 * Notices that two places of a disk have their bytes in one cluster of a file: an image that nobody could write to, though
 * it reads as it says. It sees plain clusters only; compressed streams share clusters by design.
 *
 * Takes a bit for each cluster where data lies, at most 32 MiB for a whole chain: that is 16 TiB of files by clusters of
 * 64 KiB. What lies past that is not watched.
 */
export class SharedClusters {
  readonly #pages = new Map<number, Uint32Array>();
  /** By layer, the last cluster of the disk that was added: its subclusters come one by one. */
  readonly #last = new Map<number, number>();

  /**
   * Adds an extent of a layer; of one layer they come in the disk's order.
   *
   * @returns where in the file a cluster starts that some earlier extent of the layer had already, if there is one.
   */
  add(layer: number, { start, end, host }: Extent & { kind: 'data' }, geometry: Geometry): number | undefined {
    if (geometry.version === 'raw') return undefined;
    // Version 1 aligns clusters to sectors only.
    const unit = geometry.version === 1 ? 512 : clusterSizeOf(geometry);
    const first = Math.floor(start / unit);
    const from = Math.floor(host / unit) + (this.#last.get(layer) === first ? 1 : 0);
    this.#last.set(layer, Math.ceil(end / unit) - 1);
    const found = this.#mark(layer, from, Math.ceil((host + end - start) / unit));
    return found === undefined ? undefined : found * unit;
  }

  /** Sets the bits of `[from, to)`, and returns the first word's first cluster that had one set. */
  #mark(layer: number, from: number, to: number): number | undefined {
    let found: number | undefined;
    for (let at = from; at < to; ) {
      const page = Math.floor(at / PAGE_CLUSTERS);
      const words = this.#page(layer * LAYER_PAGES + page);
      const base = page * PAGE_CLUSTERS;
      const stop = Math.min(to, base + PAGE_CLUSTERS);
      if (words) {
        const known = markBits(words, at - base, stop - base);
        if (known !== undefined) found ??= base + known;
      }
      at = stop;
    }
    return found;
  }

  #page(key: number): Uint32Array | undefined {
    const known = this.#pages.get(key);
    if (known || this.#pages.size === MAX_PAGES) return known;
    const page = new Uint32Array(PAGE_CLUSTERS / 32);
    this.#pages.set(key, page);
    return page;
  }
}

/** Sets bits `[from, to)`, and returns the first of them that was set already. */
function markBits(words: Uint32Array, from: number, to: number): number | undefined {
  let found: number | undefined;
  for (let at = from; at < to; ) {
    const word = at >>> 5;
    const stop = Math.min(to, (word + 1) * 32);
    const mask = (0xffffffff >>> (32 - (stop - at))) << (at & 31);
    const known = (words[word] as number) & mask;
    if (known !== 0) found ??= word * 32 + 31 - Math.clz32(known & -known);
    words[word] = (words[word] as number) | mask;
    at = stop;
  }
  return found;
}
