/** Numbers below a bound, the same for the same seed. */
export function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const NUMBERS = [0n, 1n, 2n, 3n, 7n, 8n, 16n, 31n, 63n, 64n, 127n, 128n, 255n, 256n, 511n, 512n, 1023n, 4096n, 0x5000n];
const WIDTHS = [1, 2, 4, 8];

/** Another input out of one or two: some bytes, numbers, stretches or the length changed, a few times. */
export function mutatedBytes(
  input: Uint8Array,
  other: Uint8Array,
  roll: (below: number) => number,
  limit: number,
): Uint8Array {
  let bytes: Buffer = Buffer.from(input);
  for (let left = 1 + roll(4); left > 0; left -= 1)
    bytes = CHANGES[roll(CHANGES.length)]?.(bytes, other, roll) ?? bytes;
  return bytes.subarray(0, limit);
}

type Change = (bytes: Buffer, other: Uint8Array, roll: (below: number) => number) => Buffer;

const CHANGES: readonly Change[] = [
  function flipBit(bytes, _, roll) {
    const at = roll(bytes.length + 1);
    if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << roll(8));
    return bytes;
  },
  function setByte(bytes, _, roll) {
    const at = roll(bytes.length + 1);
    if (at < bytes.length) bytes[at] = roll(256);
    return bytes;
  },
  function setNumber(bytes, _, roll) {
    const width = WIDTHS[roll(4)] as number;
    if (bytes.length < width) return bytes;
    const chosen = NUMBERS[roll(NUMBERS.length)] as bigint;
    const value = roll(3) === 0 ? chosen << BigInt(roll(56)) : roll(4) === 0 ? -chosen : chosen;
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt.asUintN(64, value));
    const at = roll(2) === 0 ? roll(Math.floor(bytes.length / width)) * width : roll(bytes.length - width + 1);
    number.copy(bytes, at, 8 - width);
    return bytes;
  },
  function insert(bytes, _, roll) {
    const at = roll(bytes.length + 1);
    const more = Buffer.alloc(1 + roll(16), roll(256));
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  },
  function remove(bytes, _, roll) {
    const at = roll(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + roll(16))]);
  },
  function repeat(bytes, _, roll) {
    const from = roll(bytes.length + 1);
    const piece = Buffer.from(bytes.subarray(from, from + 1 + roll(64)));
    piece.copy(bytes, roll(bytes.length + 1));
    return bytes;
  },
  function cross(bytes, other, roll) {
    const at = roll(Math.min(bytes.length, other.length) + 1);
    return Buffer.concat([bytes.subarray(0, at), other.subarray(at)]);
  },
  function copy(bytes, other, roll) {
    const from = roll(other.length + 1);
    Buffer.from(other.subarray(from, from + 1 + roll(64))).copy(bytes, roll(bytes.length + 1));
    return bytes;
  },
  function cut(bytes, _, roll) {
    return bytes.subarray(0, roll(bytes.length + 1));
  },
];
