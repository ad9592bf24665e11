const REPLACEMENT = 0xfffd;
/** The least code point that a sequence of 2, 3, … 6 bytes may stand for: less would fit into a shorter one. */
const LEAST = [0x80, 0x800, 0x10000, 0x200000, 0x4000000] as const;

/**
 * What bytes from inside an image read as: UTF-8 up to the first NUL, read as QEMU prints it in JSON. A sequence that
 * is no character — cut off, overlong, a surrogate, U+FFFE, past U+10FFFF — becomes one U+FFFD. Control characters stay
 * what they are, and are escaped where the text is printed.
 */
export function qemuText(bytes: Uint8Array): string {
  const own = untilNul(bytes);
  if (isPlain(own)) return Buffer.from(own.buffer, own.byteOffset, own.length).toString('latin1');
  let text = '';
  for (let at = 0; at < own.length; ) {
    const [character, length] = sequenceAt(own, at);
    text += String.fromCodePoint(character);
    at += length;
  }
  return text;
}

/** Whether the text has all that the bytes have: no NUL, and nothing that is no character. */
export function isWholeText(bytes: Uint8Array): boolean {
  return Buffer.from(qemuText(bytes)).equals(bytes);
}

/** A string in C ends at its first NUL, and what follows is not part of it. */
export function untilNul(bytes: Uint8Array): Uint8Array {
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : bytes.subarray(0, nul);
}

function isPlain(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte >= 0x80) return false;
  return true;
}

/** The character that starts there, and how many bytes it takes. */
function sequenceAt(bytes: Uint8Array, at: number): [character: number, length: number] {
  const first = bytes[at] as number;
  if (first < 0x80) return [first, 1];
  if (first < 0xc0 || first >= 0xfe) return [REPLACEMENT, 1];
  const length = Math.clz32(~(first << 24));
  let character = first & (0x7f >> length);
  for (let i = 1; i < length; i += 1) {
    const next = bytes[at + i] ?? 0;
    if (next >> 6 !== 0b10) return [REPLACEMENT, i];
    character = character * 64 + (next & 0x3f);
  }
  // QEMU lets C0 80 stand for NUL.
  const overlong = character < (LEAST[length - 2] as number) && !(character === 0 && length === 2);
  return [overlong || !isCharacter(character) ? REPLACEMENT : character, length];
}

function isCharacter(value: number): boolean {
  if (value > 0x10ffff || (value & 0xfffe) === 0xfffe) return false;
  return !(value >= 0xd800 && value < 0xe000) && !(value >= 0xfdd0 && value < 0xfdf0);
}
