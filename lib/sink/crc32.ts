import { crc32 } from 'node:zlib';

/** A CRC-32 (ISO-HDLC, as zlib and S3 have it), as an unsigned number. */
export type Crc32 = number;

export function crc32Of(bytes: Uint8Array): Crc32 {
  return crc32(bytes);
}

const POLYNOMIAL = 0xedb88320;

/** Product of two polynomials modulo the CRC's; bit 31 is x^0. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= shifted;
    shifted = (shifted & 1) !== 0 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1;
  }
  return product >>> 0;
}

/** x^(2^n), n = 0…31. After that they repeat. */
const SQUARES = Array.from({ length: 32 }).reduce<number[]>((powers) => {
  const last = powers.at(-1);
  powers.push(last === undefined ? 0x40000000 : multiply(last, last));
  return powers;
}, []);

/** x^(8·bytes): what appending that many bytes multiplies a CRC by. */
function shiftBy(bytes: number): number {
  let power = 0x80000000;
  let rest = bytes;
  for (let n = 3; rest > 0; n += 1) {
    if (rest % 2 === 1) power = multiply(SQUARES[n % 32] as number, power);
    rest = Math.floor(rest / 2);
  }
  return power;
}

/** The CRC of `left` followed by `right`, which is `rightLength` bytes long. Logarithmic in that length. */
export function combineCrc32(left: Crc32, right: Crc32, rightLength: number): Crc32 {
  return (multiply(shiftBy(rightLength), left) ^ right) >>> 0;
}

/** The CRC of that many zeros, without reading them. */
export function crc32OfZeros(length: number): Crc32 {
  // Appending zeros is a multiplication; what makes it more than that are the ones that the CRC starts and ends with.
  return (multiply(shiftBy(length), 0xffffffff) ^ 0xffffffff) >>> 0;
}

/** As S3's headers have it: base64 of the four bytes, most significant first. */
export function toBase64(crc: Crc32): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

export function fromBase64(text: string): Crc32 {
  return Buffer.from(text, 'base64').readUInt32BE();
}
