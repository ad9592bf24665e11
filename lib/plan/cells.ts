import type { Extent } from '../format/extent.ts';

/** What one cell of the disk is made of. */
export interface Cell {
  readonly start: number;
  readonly end: number;
  /** Bytes of the image that hold it; 0 means that it is all zeros. */
  readonly stored: number;
  /** Where it starts in the image, if it lies there plain and in one piece. */
  readonly host: number | undefined;
}

/**
 * Cuts the disk into cells of equal size and notes of each whether it is zeros, one contiguous plain run, or anything
 * else. Takes extents as they come; costs 24 bytes a cell and nothing for zeros.
 */
export class Cells {
  readonly count: number;
  readonly #diskSize: number;
  readonly #fileSize: number;
  readonly #cellSize: number;
  readonly #stored: Float64Array;
  readonly #plain: Float64Array;
  /** Host offset less guest offset, the same all over a contiguous run; NaN once two differ. */
  readonly #shift: Float64Array;

  constructor(diskSize: number, fileSize: number, cellSize: number) {
    this.count = Math.ceil(diskSize / cellSize);
    this.#diskSize = diskSize;
    this.#fileSize = fileSize;
    this.#cellSize = cellSize;
    this.#stored = new Float64Array(this.count);
    this.#plain = new Float64Array(this.count);
    this.#shift = new Float64Array(this.count);
  }

  /** @param copyable Whether S3 could copy its bytes out of the file that they lie in. */
  add(extent: Extent, copyable = true): void {
    if (extent.kind === 'compressed') this.#addCompressed(extent);
    if (extent.kind === 'data') this.#addPlain(extent, copyable ? extent.host - extent.start : Number.NaN);
  }

  #addPlain(extent: Extent & { readonly kind: 'data' }, shift: number): void {
    for (let at = extent.start; at < extent.end; ) {
      const cell = Math.floor(at / this.#cellSize);
      const next = Math.min((cell + 1) * this.#cellSize, extent.end);
      const known = this.#stored[cell] as number;
      this.#shift[cell] = known === 0 || this.#shift[cell] === shift ? shift : Number.NaN;
      this.#stored[cell] = known + next - at;
      // Bytes that the file does not have cannot be copied out of it.
      this.#plain[cell] =
        (this.#plain[cell] as number) + Math.min(next, this.#fileSize - extent.host + extent.start) - at;
      at = next;
    }
  }

  #addCompressed(extent: Extent & { readonly kind: 'compressed' }): void {
    extent.clusters.forEach(({ length }, i) => {
      const cell = Math.floor(Math.max(extent.start, extent.origin + i * extent.clusterSize) / this.#cellSize);
      this.#stored[cell] = (this.#stored[cell] as number) + length;
      this.#shift[cell] = Number.NaN;
    });
  }

  at(index: number): Cell {
    const start = index * this.#cellSize;
    const end = Math.min(start + this.#cellSize, this.#diskSize);
    const shift = this.#shift[index] as number;
    const contiguous = this.#plain[index] === end - start && !Number.isNaN(shift);
    return { start, end, stored: this.#stored[index] as number, host: contiguous ? start + shift : undefined };
  }
}
