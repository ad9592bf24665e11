/**
 * Orders strings by their UTF-8 bytes, as S3 lists keys. JavaScript's own order compares UTF-16 units, in which the
 * characters past U+FFFF (surrogates, 0xD800–0xDFFF) come before those from U+E000 to U+FFFF.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const difference = rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
