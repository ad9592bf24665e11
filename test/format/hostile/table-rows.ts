import { AT, COPIED, converts, notConverted, type Rows, refused, u64s, ZERO } from '../../support/hostile.ts';
import { noise } from '../../support/qemu.ts';

const MiB = 2 ** 20;
const l1 = (...entries: bigint[]) => ({ l1: entries });
const L2 = COPIED | BigInt(AT.l2);

export const L1_ROWS: Rows = {
  l1_over_32MiB: refused('L1_TOO_LARGE', { header: { l1Size: 4_194_305 } }),
  l1_size_max: refused('L1_TOO_LARGE', { header: { l1Size: 0xffffffff } }),
  l1_32MiB_past_eof: converts({ header: { l1Size: 4_194_304 } }, 'L1_SURPLUS_BEYOND_EOF'),
  l1_surplus_past_eof: converts({ header: { l1Size: 4096 } }, 'L1_SURPLUS_BEYOND_EOF'),
  l1_off_unaligned: refused('BAD_L1_OFFSET', { header: { l1TableOffset: 0x3200 } }),
  l1_off_0: refused('L1_OVERLAPS_HEADER', { header: { l1TableOffset: 0 } }),
  l1_off_eof: refused('L1_BEYOND_EOF', { header: { l1TableOffset: 0x100000 } }),
  l1_off_at_eof: refused('L1_BEYOND_EOF', { header: { l1TableOffset: 0x7000 } }),
  l1_off_cut: refused('L1_BEYOND_EOF', { fileSize: AT.l1 + 7 }),
  l1_off_i64: refused('BAD_L1_OFFSET', { header: { l1TableOffset: 0x7ffffffffffff000n, l1Size: 1024 } }),
  l1_off_near_i64: refused('L1_BEYOND_EOF', { header: { l1TableOffset: 0x7ffffffffffff000n } }),
  l1_off_max: refused('BAD_L1_OFFSET', { header: { l1TableOffset: 0xfffffffffffff000n } }),
  l1_extra_garbage: converts(l1(L2, 0x00fffffffffff000n), 'SURPLUS_L2_BEYOND_EOF'),
  l1_extra_at_eof: converts(l1(L2, COPIED | 0x7000n), 'SURPLUS_L2_BEYOND_EOF'),
  l1_extra_sound: converts(l1(L2, L2, COPIED, 0n)),
  l1_extra_garbage_v2: converts({ version: 2, ...l1(L2, 0x00fffffffffff000n) }, 'SURPLUS_L2_BEYOND_EOF'),
  l1e_reserved: converts(l1(L2 | (1n << 56n)), 'L1E_RESERVED_BITS'),
  l1e_reserved_62: converts(l1(L2 | (1n << 62n)), 'L1E_RESERVED_BITS'),
  l1e_reserved_low: converts(l1(L2 | 0x1ffn), 'L1E_RESERVED_BITS'),
  l1e_unallocated: converts(l1(0n)),
  l1e_hdr: converts(l1(COPIED), 'L1E_WITHOUT_TABLE'),
  l1e_hdr_v2: converts({ version: 2, ...l1(COPIED) }, 'L1E_WITHOUT_TABLE'),
  l1e_hdr_reserved: converts(l1(COPIED | 0x1fen), 'L1E_RESERVED_BITS', 'L1E_WITHOUT_TABLE'),
  l1e_not_copied: converts(l1(BigInt(AT.l2))),
  l1e_unaligned: notConverted('L2_UNALIGNED', l1(COPIED | 0x4200n)),
  l1e_straddle: notConverted('L2_BEYOND_EOF', { ...l1(COPIED | 0x7000n), fileSize: 0x7000 + 64 }),
  l1e_straddle_after_need: converts({ ...l1(COPIED | 0x7000n), fileSize: 0x7000 + 16 * 8 }),
  l1e_eof: notConverted('L2_BEYOND_EOF', l1(COPIED | 0x7000n)),
  l1e_2p31: notConverted('L2_BEYOND_EOF', l1(COPIED | (1n << 31n))),
  l1e_max: notConverted('L2_BEYOND_EOF', l1(0x00fffffffffff000n)),
  l1e_self: notConverted('METADATA_OVERLAP', l1(COPIED | BigInt(AT.l1)), /L1 table/),
  l1e_refblk: notConverted('METADATA_OVERLAP', l1(COPIED | BigInt(AT.refcountBlock)), /refcount block/),
  l1e_reftable: notConverted('METADATA_OVERLAP', l1(COPIED | BigInt(AT.refcountTable)), /refcount table/),
  l1e_second_bad: notConverted('L2_UNALIGNED', { size: 4n * BigInt(MiB), ...l1(L2, COPIED | 0x4200n) }, /./),
};

const FIRST = COPIED | BigInt(AT.data);
const SECOND = COPIED | BigInt(AT.data + 0x1000);
/** The second cluster's entry; the first is sound. */
const second = (entry: bigint) => ({ l2: [FIRST, entry] });

export const L2_ROWS: Rows = {
  l2e_unaligned: notConverted('CLUSTER_UNALIGNED', second(COPIED | 0x5200n)),
  l2e_eof: notConverted('CLUSTER_BEYOND_EOF', second(COPIED | 0x100000n)),
  l2e_at_eof: notConverted('CLUSTER_BEYOND_EOF', second(COPIED | 0x7000n)),
  l2e_max: notConverted('CLUSTER_BEYOND_EOF', second(0x00fffffffffff000n)),
  l2e_2p31: notConverted('CLUSTER_BEYOND_EOF', second(COPIED | (1n << 31n))),
  l2e_2p53: notConverted('CLUSTER_BEYOND_EOF', second(COPIED | (1n << 53n))),
  l2e_2p32: notConverted('CLUSTER_BEYOND_EOF', second(COPIED | (1n << 32n) | 0x5000n)),
  l2e_reserved_high: converts(second(SECOND | (1n << 56n)), 'L2E_RESERVED_BITS'),
  l2e_reserved_61: converts(second(SECOND | (1n << 61n)), 'L2E_RESERVED_BITS'),
  l2e_reserved_low: converts(second(SECOND | 0x1fen), 'L2E_RESERVED_BITS'),
  l2e_reserved_unallocated: converts(second(0x1fen), 'L2E_RESERVED_BITS'),
  l2e_hdr: converts(second(ZERO)),
  l2e_zero_alloc: converts(second(SECOND | ZERO)),
  l2e_zero_v2: notConverted('ZERO_FLAG_IN_V2', { version: 2, ...second(ZERO) }),
  l2e_zero_alloc_v2: notConverted('ZERO_FLAG_IN_V2', { version: 2, ...second(SECOND | ZERO) }),
  l2e_zero_unaligned: notConverted('CLUSTER_UNALIGNED', second(COPIED | ZERO | 0x5200n)),
  l2e_zero_alloc_eof: converts(second(ZERO | 0x100000n), 'ZERO_CLUSTER_BEYOND_EOF'),
  l2e_at_header: converts(second(COPIED)),
  l2e_not_copied: converts(second(BigInt(AT.data + 0x1000))),
  l2e_ov_l1: notConverted('METADATA_OVERLAP', second(COPIED | BigInt(AT.l1)), /L1 table/),
  l2e_ov_l2: notConverted('METADATA_OVERLAP', second(COPIED | BigInt(AT.l2)), /L2 table/),
  l2e_ov_refblk: notConverted('METADATA_OVERLAP', second(COPIED | BigInt(AT.refcountBlock)), /refcount block/),
  l2e_ov_reftable: notConverted('METADATA_OVERLAP', second(COPIED | BigInt(AT.refcountTable)), /refcount table/),
  l2e_ov_v2: notConverted('METADATA_OVERLAP', { version: 2, ...second(COPIED | BigInt(AT.l1)) }),
  l2e_zero_on_metadata: converts(second(ZERO | BigInt(AT.l1))),
  l2e_dup: converts(second(FIRST), 'SHARED_CLUSTER'),
  l2e_dup_v2: converts({ version: 2, ...second(FIRST) }, 'SHARED_CLUSTER'),
  l2e_dup_later: converts({ l2: [FIRST, SECOND, 0n, ZERO, SECOND] }, 'SHARED_CLUSTER'),
  l2e_dup_of_zeros: converts(second(FIRST | ZERO)),
  l2e_swapped: converts({ l2: [SECOND, FIRST] }),
  l2e_partial_tail: converts({ fileSize: 0x6800 }, 'TAIL_ZERO_PADDED'),
  l2e_one_byte_of_tail: converts({ fileSize: 0x6001 }, 'TAIL_ZERO_PADDED'),
  l2e_missing_tail: notConverted('CLUSTER_BEYOND_EOF', { fileSize: 0x6000 }),
  l2e_tail_past_the_disk: converts({ size: 0x1800n, fileSize: 0x6800 }),
  // Entries past the disk's end belong to nothing.
  l2e_past_disk: converts({ size: 0x1000n, ...second(COPIED | 0x5200n) }),
};

const blocks = (...entries: bigint[]) => ({ patches: { [AT.refcountTable]: u64s(entries) } });

export const REFCOUNT_ROWS: Rows = {
  ref_zero: converts({ patches: { [AT.refcountBlock]: Buffer.alloc(4096) } }),
  ref_leak: converts({ patches: { [AT.refcountBlock + 14]: Buffer.of(0, 1) }, fileSize: 0x8000 }),
  ref_unaligned: converts(blocks(0x2200n)),
  ref_eof: converts(blocks(0x100000n)),
  ref_max: converts(blocks(2n ** 64n - 1n)),
};

export const OTHER_FORMAT_ROWS: Rows = {
  poly_iso: converts({ fileSize: 0x9000, patches: { 32769: Buffer.from('CD001') } }, 'MULTIPLE_FORMATS'),
  poly_tar: converts({ patches: { 257: Buffer.from('ustar') } }, 'MULTIPLE_FORMATS'),
  // Three L1 entries share an L2 table, which names one cluster of data twice in each.
  amp_shared_plain: {
    ...converts({ size: 6n * BigInt(MiB), l1: [L2, L2, L2], l2: [FIRST], data: [noise(4096)] }, 'SHARED_CLUSTER'),
  },
};
