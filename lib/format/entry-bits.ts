/**
 * What the bits of an entry mean, in L1, L2 and refcount tables. An entry comes as two u32, the upper half first.
 *
 * @see qcow2.rst § Cluster mapping; § Host cluster management
 */

/** Bit 63: exactly one reference to what it names. Of L1 and L2 entries. */
export const COPIED = 0x80000000;
/** Bit 62, of L2 entries. */
export const COMPRESSED = 0x40000000;

/** Bits 9–55: where a table or an uncompressed cluster lies; 0 is nowhere. */
export const hostOffsetOf = (hi: number, lo: number): number => (hi & 0x00ffffff) * 2 ** 32 + ((lo & 0xfffffe00) >>> 0);

/** Bits 9–63: where a refcount block lies; 0 is nowhere. Past 2^53 it may be off by a little. */
export const refblockOffsetOf = (hi: number, lo: number): number => hi * 2 ** 32 + ((lo & 0xfffffe00) >>> 0);

/** Bits 0–8 and 56–62 of an L1 entry. */
export const hasL1ReservedBits = (hi: number, lo: number): boolean => (hi & 0x7f000000) !== 0 || (lo & 0x1ff) !== 0;

/** Bits 1–8 and 56–61 of an uncompressed cluster's L2 entry. */
export const hasL2ReservedBits = (hi: number, lo: number): boolean => (hi & 0x3f000000) !== 0 || (lo & 0x1fe) !== 0;

/** Where a compressed cluster's sectors lie, in bytes: from its first byte to the end of its last sector. */
export function streamOf(hi: number, lo: number, clusterBits: number): { host: number; length: number } {
  const hiBits = 70 - clusterBits - 32; // bits of the offset that lie in the upper half
  const host = (hi & (2 ** hiBits - 1)) * 2 ** 32 + lo;
  const sectors = (hi & 0x3fffffff) >>> hiBits;
  return { host, length: (sectors + 1) * 512 - (host % 512) };
}
