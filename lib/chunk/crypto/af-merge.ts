import { hash } from 'node:crypto';

/**
 * Puts a key together that was split over many stripes, so that losing any of them loses it.
 *
 * @param stripes As many times `keyBytes` as there are stripes.
 * @see LUKS On-Disk Format 1.2.3 § 2.4, AFmerge
 */
export function afMerge(stripes: Uint8Array, keyBytes: number, algorithm: string): Uint8Array {
  const key = new Uint8Array(keyBytes);
  const digestBytes = hash(algorithm, '', 'buffer').length;
  for (let at = 0; at < stripes.length; at += keyBytes) {
    if (at > 0) diffuse(key, algorithm, digestBytes);
    for (let i = 0; i < keyBytes; i += 1) key[i] = (key[i] as number) ^ (stripes[at + i] as number);
  }
  return key;
}

/** Replaces each piece that is as long as a digest, and what is left at the end, by the digest of its number and itself. */
function diffuse(key: Uint8Array, algorithm: string, digestBytes: number): void {
  for (let at = 0; at < key.length; at += digestBytes) {
    const piece = key.subarray(at, at + digestBytes);
    const numbered = new Uint8Array(4 + piece.length);
    new DataView(numbered.buffer).setUint32(0, at / digestBytes);
    numbered.set(piece, 4);
    piece.set(hash(algorithm, numbered, 'buffer').subarray(0, piece.length));
    numbered.fill(0);
  }
}
