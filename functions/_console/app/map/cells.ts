import { KINDS } from './kinds.ts';

const K = KINDS.length;

/**
 * A stretch of disk or file in equal cells: how many bytes of each kind lie in each, and where, on average, their other side
 * lies: the file's side of the disk, the disk's of the file. Memory is by the number of cells, however much is added.
 */
export class Cells {
  readonly start: number;
  /** Bytes of a cell. */
  readonly size: number;
  readonly count: number;
  readonly #bytes: Float64Array;
  readonly #placed: Float64Array;
  readonly #places: Float64Array;

  constructor(start: number, size: number, count: number) {
    this.start = start;
    this.size = size;
    this.count = count;
    this.#bytes = new Float64Array(count * K);
    this.#placed = new Float64Array(count);
    this.#places = new Float64Array(count);
  }

  get end(): number {
    return this.start + this.size * this.count;
  }

  bytes(cell: number, kind: number): number {
    return this.#bytes[cell * K + kind] ?? 0;
  }

  /** Where the other side of a cell's bytes lies on average, if it has one. */
  place(cell: number): number | undefined {
    const bytes = this.#placed[cell] ?? 0;
    return bytes > 0 ? (this.#places[cell] ?? 0) / bytes : undefined;
  }

  /** Adds what of a stretch lies within. */
  add(kind: number, start: number, end: number, place?: number): void {
    const [from, to] = [Math.max(start, this.start), Math.min(end, this.end)];
    if (from >= to) return;
    const last = Math.floor((to - 1 - this.start) / this.size);
    for (let cell = Math.floor((from - this.start) / this.size); cell <= last; cell += 1) {
      const left = Math.max(from, this.start + cell * this.size);
      const right = Math.min(to, this.start + (cell + 1) * this.size);
      const middle = place === undefined ? undefined : place + (left + right) / 2 - start;
      this.#put(cell, kind, right - left, middle);
    }
  }

  /** Adds what others hold. Larger cells are taken for an even mixture, since no more is known of them. */
  addAll(other: Cells): void {
    const first = Math.max(0, Math.floor((this.start - other.start) / other.size));
    const last = Math.min(other.count, Math.ceil((this.end - other.start) / other.size));
    for (let each = first; each < last; each += 1) this.#mix(other, each);
  }

  #mix(other: Cells, each: number): void {
    const start = other.start + each * other.size;
    const from = Math.max(0, Math.floor((start - this.start) / this.size));
    const to = Math.min(this.count, Math.ceil((start + other.size - this.start) / this.size));
    const share = Math.min(1, this.size / other.size);
    const place = other.place(each);
    const placed = place === undefined ? 0 : (other.#placed[each] ?? 0) * share;
    for (let cell = from; cell < to; cell += 1) {
      for (let kind = 0; kind < K; kind += 1) this.#put(cell, kind, other.bytes(each, kind) * share, undefined);
      if (place === undefined) continue;
      this.#placed[cell] = (this.#placed[cell] ?? 0) + placed;
      this.#places[cell] = (this.#places[cell] ?? 0) + placed * place;
    }
  }

  #put(cell: number, kind: number, bytes: number, place: number | undefined): void {
    this.#bytes[cell * K + kind] = this.bytes(cell, kind) + bytes;
    if (place === undefined) return;
    this.#placed[cell] = (this.#placed[cell] ?? 0) + bytes;
    this.#places[cell] = (this.#places[cell] ?? 0) + bytes * place;
  }
}
