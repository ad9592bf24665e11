import type { Algorithm } from './algorithms.ts';

/** The checksums of joined bytes that follow from those of the pieces. */
export type Crc = Extract<Algorithm, `CRC${string}`>;

/** A piece of something: its checksum in base64, and its length in bytes. */
export interface Summed {
  readonly value: string;
  readonly size: number;
}

/**
 * The same for all three CRCs as `crc32-combine.ts` does for CRC32 in numbers: there per block, here per part. All are
 * reflected, and begin and end with all bits flipped, so they differ in the polynomial only.
 */
class Field {
  readonly #polynomial: bigint;
  readonly #width: number;
  readonly #one: bigint;
  readonly #ones: bigint;
  /** x^(8·2^i), as far as asked for. */
  readonly #powers: bigint[];
  /** What a CRC is multiplied by when so many bytes follow. Few lengths recur many times: those of parts. */
  readonly #shifts = new Map<number, bigint>();

  constructor(polynomial: bigint, width: number) {
    this.#polynomial = polynomial;
    this.#width = width;
    this.#one = 1n << BigInt(width - 1);
    this.#ones = (1n << BigInt(width)) - 1n;
    this.#powers = [this.#one >> 8n];
  }

  /** The CRC of `A‖B`. */
  combine(a: bigint, b: bigint, lengthOfB: number): bigint {
    return this.#multiply(this.#shiftBy(lengthOfB), a) ^ b;
  }

  /** The CRC of so many zero bytes, none of which is looked at. */
  zeros(length: number): bigint {
    return this.#multiply(this.#shiftBy(length), this.#ones) ^ this.#ones;
  }

  #multiply(a: bigint, b: bigint): bigint {
    let product = 0n;
    let shifted = b;
    for (let bit = this.#one; bit !== 0n; bit >>= 1n) {
      if ((a & bit) !== 0n) product ^= shifted;
      shifted = (shifted & 1n) === 1n ? (shifted >> 1n) ^ this.#polynomial : shifted >> 1n;
    }
    return product;
  }

  #shiftBy(bytes: number): bigint {
    const known = this.#shifts.get(bytes);
    if (known !== undefined) return known;
    let shift = this.#one;
    for (let i = 0, rest = bytes; rest > 0; i += 1, rest = Math.floor(rest / 2)) {
      if (rest % 2 === 1) shift = this.#multiply(this.#power(i), shift);
    }
    if (this.#shifts.size > 1000) this.#shifts.clear();
    this.#shifts.set(bytes, shift);
    return shift;
  }

  #power(i: number): bigint {
    for (let last = this.#powers.at(-1) ?? this.#one; this.#powers.length <= i; ) {
      last = this.#multiply(last, last);
      this.#powers.push(last);
    }
    return this.#powers[i] ?? this.#one;
  }

  parse = (value: string): bigint => BigInt(`0x0${Buffer.from(value, 'base64').toString('hex')}`);

  format = (crc: bigint): string =>
    Buffer.from(crc.toString(16).padStart(this.#width / 4, '0'), 'hex').toString('base64');
}

const FIELDS: Readonly<Record<Crc, Field>> = {
  CRC32: new Field(0xedb88320n, 32),
  CRC32C: new Field(0x82f63b78n, 32),
  CRC64NVME: new Field(0x9a6c9329ac4bc9b5n, 64),
};

export const isCrc = (algorithm: Algorithm): algorithm is Crc => algorithm in FIELDS;

/** The checksum of the pieces joined, in base64. About 0.1 ms for a piece of a length not seen before, else 10 µs. */
export function joinCrcs(algorithm: Crc, pieces: readonly Summed[]): string {
  const field = FIELDS[algorithm];
  return field.format(pieces.reduce((crc, { value, size }) => field.combine(crc, field.parse(value), size), 0n));
}

/** The checksum of so many zero bytes, in base64. */
export function crcOfZeros(algorithm: Crc, length: number): string {
  const field = FIELDS[algorithm];
  return field.format(field.zeros(length));
}
