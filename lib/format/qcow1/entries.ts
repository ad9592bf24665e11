import { L2_ENTRY_BYTES, type Qcow1Geometry } from './geometry.ts';

/** An L2 entry that names something. */
export interface Qcow1Entry {
  readonly index: number;
  readonly host: number;
  /** Bytes in the file: of a stream as the entry says, else a cluster. */
  readonly length: number;
  readonly isCompressed: boolean;
}

/** Bit 63 of an L2 entry. */
export const QCOW1_COMPRESSED = 0x80000000;

/** What an entry says of a table or a plain cluster is its offset, all of it. Past 2^53 it may be off by a little. */
export const qcow1OffsetOf = (hi: number, lo: number): number => hi * 2 ** 32 + lo;

/** A compressed cluster's stream. Its length is exact, unlike version 2's. */
export function qcow1StreamOf(hi: number, lo: number, clusterBits: number): { host: number; length: number } {
  const hiBits = 31 - clusterBits; // bits of the offset that lie in the upper half
  return { host: (hi & (2 ** hiBits - 1)) * 2 ** 32 + lo, length: (hi & 0x7fffffff) >>> hiBits };
}

/** The entries of a table's first `bytes` that are not 0, whatever they say. */
export function* qcow1Entries(
  table: DataView,
  bytes: number,
  { clusterBits }: Pick<Qcow1Geometry, 'clusterBits'>,
): Generator<Qcow1Entry> {
  for (let at = 0, index = 0; at < bytes; at += L2_ENTRY_BYTES, index += 1) {
    const hi = table.getUint32(at);
    const lo = table.getUint32(at + 4);
    if (hi === 0 && lo === 0) continue;
    const isCompressed = (hi & QCOW1_COMPRESSED) !== 0;
    const place = isCompressed
      ? qcow1StreamOf(hi, lo, clusterBits)
      : { host: qcow1OffsetOf(hi, lo), length: 2 ** clusterBits };
    yield { index, ...place, isCompressed };
  }
}
