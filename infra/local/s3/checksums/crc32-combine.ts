/**
 * CRC32 (the reflected IEEE 802.3 one, as in zlib and S3) of joined data, from the CRC32s of its pieces.
 *
 * Appending `n` bytes multiplies a CRC by x^(8n) modulo the CRC polynomial. Multiplying polynomials over GF(2) costs at
 * most 32 shifts, and x^(8n) comes from repeated squaring, so that all of this is logarithmic in the lengths.
 * A polynomial is a u32 with the coefficient of x^0 in its highest bit.
 */
const POLYNOMIAL = 0xedb88320;
const ONE = 0x80000000;
const INITIAL = 0xffffffff;

/** `a · b` modulo the CRC polynomial. */
export function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let rest = a | 0; rest !== 0; rest <<= 1) {
    if (rest < 0) product ^= shifted;
    shifted = (shifted & 1) === 1 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1;
  }
  return product >>> 0;
}

/** x^(8·2^i) for i = 0…63: enough for any length that a double holds exactly. */
const POWERS: readonly number[] = (() => {
  let power = ONE >>> 8;
  return Array.from({ length: 64 }, () => {
    const current = power;
    power = multiply(power, power);
    return current;
  });
})();

/** x^(8·bytes): what a CRC is multiplied by when so many bytes follow. Worth keeping where one length recurs. */
export function shiftBy(bytes: number): number {
  let shift = ONE;
  for (let i = 0, rest = bytes; rest > 0; i += 1, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shift = multiply(POWERS[i] ?? ONE, shift);
  }
  return shift;
}

/** The CRC32 of `A‖B`, from that of A, that of B, and B's length in bytes. */
export function combineCrc32(a: number, b: number, lengthOfB: number): number {
  return (multiply(shiftBy(lengthOfB), a) ^ b) >>> 0;
}

/** The CRC32 of so many zero bytes, none of which is looked at. */
export function crc32OfZeros(length: number): number {
  return (multiply(shiftBy(length), INITIAL) ^ INITIAL) >>> 0;
}

/** CRC32 as S3 writes it: base64 of its four bytes, the highest first. */
export function crc32Value(crc32: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32);
  return bytes.toString('base64');
}
