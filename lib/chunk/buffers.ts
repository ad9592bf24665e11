/** Memory that threads share, so that bytes are decompressed where they are wanted. Zeros. */
export function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

/**
 * So many buffers of one size, which are used again and again: fresh pages cost more time than the bytes that are put
 * there. Whoever takes one while all are out waits: this is what bounds the memory of those who use them.
 */
export class Buffers {
  readonly #size: number;
  readonly #limit: number;
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((buffer: Uint8Array) => void)[] = [];
  #made = 0;

  constructor(size: number, limit: number) {
    this.#size = size;
    this.#limit = limit;
  }

  /** The bytes that the last user left are still there. */
  async take(): Promise<Uint8Array> {
    const free = this.#free.pop();
    if (free) return free;
    if (this.#made === this.#limit) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#made += 1;
    return sharedBytes(this.#size);
  }

  /** Nobody may write to it any more, or read from it. */
  give(buffer: Uint8Array): void {
    const next = this.#waiting.shift();
    if (next) next(buffer);
    else this.#free.push(buffer);
  }

  /** Lends one for as long as `use` takes. */
  async with<T>(use: (buffer: Uint8Array) => Promise<T>): Promise<T> {
    const buffer = await this.take();
    try {
      return await use(buffer);
    } finally {
      this.give(buffer);
    }
  }
}
