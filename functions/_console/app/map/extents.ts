import type { MapEntry } from '../answers.ts';
import type { Cells } from './cells.ts';
import { kindOf } from './kinds.ts';

/** One stretch of the disk. `host` is where it lies in its file, if it has a place there that one could read. */
export interface Extent {
  readonly start: number;
  readonly end: number;
  readonly kind: number;
  readonly depth: number;
  readonly host: number | undefined;
}

/** Those that lie in the image's own file, by where they lie there. */
interface FileOrder {
  readonly order: Uint32Array;
  /** How far into the file all up to each reach, since two of them may share bytes. */
  readonly reach: Float64Array;
}

/** Stretches of disk in guest order, each as it is, up to a number of them. 27 bytes each. */
export class Extents {
  readonly #limit: number;
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #hosts: Float64Array;
  readonly #kinds: Uint8Array;
  readonly #depths: Uint16Array;
  /** Made when asked for. */
  #byHost: FileOrder | undefined;
  count = 0;

  constructor(limit: number) {
    this.#limit = limit;
    this.#starts = new Float64Array(limit);
    this.#ends = new Float64Array(limit);
    this.#hosts = new Float64Array(limit);
    this.#kinds = new Uint8Array(limit);
    this.#depths = new Uint16Array(limit);
  }

  get isFull(): boolean {
    return this.count === this.#limit;
  }

  /** Where what is known ends. */
  get end(): number {
    return this.#ends[this.count - 1] ?? 0;
  }

  add(entry: MapEntry): void {
    const i = this.count;
    this.#starts[i] = entry.start;
    this.#ends[i] = entry.start + entry.length;
    this.#hosts[i] = entry.offset ?? -1;
    this.#kinds[i] = kindOf(entry);
    this.#depths[i] = entry.depth;
    this.#byHost = undefined;
    this.count += 1;
  }

  at(i: number): Extent {
    const [start = 0, end = 0, host = -1] = [this.#starts[i], this.#ends[i], this.#hosts[i]];
    return { start, end, kind: this.#kinds[i] ?? 0, depth: this.#depths[i] ?? 0, host: host < 0 ? undefined : host };
  }

  /** The stretch that has this byte of the disk. */
  find(offset: number): Extent | undefined {
    const found = this.at(this.#lastFrom(offset));
    return this.count > 0 && found.start <= offset && offset < found.end ? found : undefined;
  }

  /** The stretch that lies at this byte of the image's own file; of several the one that starts first. */
  findInFile(offset: number): Extent | undefined {
    for (const extent of this.#inFile(offset, offset + 1)) {
      if (offset < (extent.host ?? 0) + extent.end - extent.start) return extent;
    }
    return undefined;
  }

  *within(start: number, end: number): Generator<Extent> {
    for (let i = Math.max(0, this.#lastFrom(start)); i < this.count; i += 1) {
      const extent = this.at(i);
      if (extent.start >= end) return;
      if (extent.end > start) yield extent;
    }
  }

  pour(cells: Cells): void {
    for (const { kind, start, end, depth, host } of this.within(cells.start, cells.end)) {
      cells.add(kind, start, end, depth === 0 ? host : undefined);
    }
  }

  /** In the order of the image's own file. */
  pourByHost(cells: Cells): void {
    for (const { kind, start, end, host = 0 } of this.#inFile(cells.start, cells.end)) {
      cells.add(kind, host, host + end - start, start);
    }
  }

  /** All that have bytes within, and with them some that end before. */
  *#inFile(start: number, end: number): Generator<Extent> {
    const { order, reach } = this.#fileOrder();
    for (let each = lastOf(order.length, (i) => (reach[i] ?? 0) <= start) + 1; each < order.length; each += 1) {
      const extent = this.at(order[each] ?? 0);
      if ((extent.host ?? 0) >= end) return;
      yield extent;
    }
  }

  #fileOrder(): FileOrder {
    if (this.#byHost) return this.#byHost;
    const hostOf = (i: number) => this.#hosts[i] ?? -1;
    const own = Array.from({ length: this.count }, (_, i) => i).filter((i) => this.#depths[i] === 0 && hostOf(i) >= 0);
    const order = Uint32Array.from(own).sort((a, b) => hostOf(a) - hostOf(b));
    let furthest = 0;
    const reach = Float64Array.from(order, (i) => {
      furthest = Math.max(furthest, hostOf(i) + (this.#ends[i] ?? 0) - (this.#starts[i] ?? 0));
      return furthest;
    });
    this.#byHost = { order, reach };
    return this.#byHost;
  }

  #lastFrom(offset: number): number {
    return lastOf(this.count, (i) => (this.#starts[i] ?? 0) <= offset);
  }
}

/** The last of so many for which it holds, if it holds for all before; −1 if for none. */
function lastOf(count: number, holds: (i: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
