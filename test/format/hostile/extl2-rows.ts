import {
  AT,
  COMPRESSED,
  COPIED,
  compressedEntry,
  converts,
  deflated,
  type ImageSpec,
  notConverted,
  type Rows,
  refused,
  ZERO,
} from '../../support/hostile.ts';
import { noise } from '../../support/qemu.ts';

/** The smallest clusters that can be split: 16 KiB, in 32 of 512 bytes. */
const BITS = 14;
const CLUSTER = 2 ** BITS;
const SUBCLUSTER = 512;
/** Where `AT` has things of 4 KiB, an image of larger clusters has them at as many clusters. */
const at = (place: keyof typeof AT) => (AT[place] / 4096) * CLUSTER;
const DATA = at('data');
const HOST = COPIED | BigInt(DATA);
const ALL = 0xffffffff;

interface Entry {
  readonly host?: bigint;
  readonly zero?: number;
  readonly allocated?: number;
}

/** An image whose first entries these are. */
const extl2 = (entries: readonly Entry[], { header, ...spec }: ImageSpec = {}): ImageSpec => ({
  clusterBits: BITS,
  data: [noise(CLUSTER, 'first'), noise(CLUSTER, 'second')],
  l2: entries.flatMap(({ host = HOST, zero = 0, allocated = 0 }) => [host, (BigInt(zero) << 32n) | BigInt(allocated)]),
  ...spec,
  header: { incompatibleFeatures: 16, ...header },
});

const STREAM = deflated(Buffer.alloc(CLUSTER, 'text '));
const COMPRESSED_ENTRY = compressedEntry(DATA, STREAM.length, BITS);

export const EXTL2_ROWS: Rows = {
  ok_extl2: converts(extl2([{ allocated: 0xffff, zero: 0xff000000 }])),
  extl2_dup: converts(extl2([{ allocated: 0xff }, { allocated: 0xff00 }]), 'SHARED_CLUSTER'),
  extl2_every_other: converts(extl2([{ allocated: 0x55555555, zero: 0xaaaaaaaa }])),
  extl2_nothing_allocated: converts(extl2([{}])),
  extl2_zero_without_cluster: converts(extl2([{ host: 0n, zero: ALL }])),
  extl2_both: notConverted('INVALID_SUBCLUSTER', extl2([{ allocated: 1, zero: 1 }])),
  extl2_other_bad: notConverted('INVALID_SUBCLUSTER', extl2([{ allocated: 0x21, zero: 0x20 }])),
  extl2_both_without_cluster: notConverted('INVALID_SUBCLUSTER', extl2([{ host: 0n, allocated: 1, zero: 1 }])),
  extl2_both_past_disk: notConverted(
    'INVALID_SUBCLUSTER',
    extl2([{ allocated: 0x80000001, zero: 0x80000000 }], { size: 512n }),
  ),
  extl2_allocated_without_cluster: notConverted('INVALID_SUBCLUSTER', extl2([{ host: 0n, allocated: 1 }])),
  extl2_allocated_copied_at_0: notConverted('INVALID_SUBCLUSTER', extl2([{ host: COPIED, allocated: 1 }])),
  extl2_bit0: converts(extl2([{ host: HOST | ZERO, allocated: ALL }]), 'ZERO_BIT_WITH_SUBCLUSTERS'),
  extl2_bit0_alone: converts(extl2([{ host: ZERO }]), 'ZERO_BIT_WITH_SUBCLUSTERS'),
  extl2_unaligned: notConverted('CLUSTER_UNALIGNED', extl2([{ host: HOST + 0x200n, allocated: 1 }])),
  extl2_reserved: converts(extl2([{ host: HOST | (1n << 56n) | 2n, allocated: ALL }]), 'L2E_RESERVED_BITS'),
  extl2_comp: converts(extl2([{ host: COMPRESSED_ENTRY }], { data: [STREAM] })),
  extl2_comp_valid_bitmap: converts(
    extl2([{ host: COMPRESSED_ENTRY, allocated: 5, zero: 0xf0 }], { data: [STREAM] }),
    'SUBCLUSTERS_ON_COMPRESSED',
  ),
  extl2_comp_both_bits: converts(
    extl2([{ host: COMPRESSED_ENTRY, allocated: ALL, zero: ALL }], { data: [STREAM] }),
    'SUBCLUSTERS_ON_COMPRESSED',
  ),
  extl2_comp_bitmap: notConverted('DECOMPRESS_FAILED', extl2([{ host: COMPRESSED | BigInt(DATA), allocated: ALL }])),
  extl2_cluster_8k: refused('BAD_CLUSTER_BITS', extl2([], { clusterBits: 13, l2: [] })),
  extl2_cluster_512: refused('BAD_CLUSTER_BITS', extl2([], { clusterBits: 9, l2: [], data: [] })),
  extl2_noalloc_eof: converts(extl2([{ host: COPIED | 0x100000n }]), 'ZERO_CLUSTER_BEYOND_EOF'),
  extl2_zero_eof: converts(extl2([{ host: COPIED | 0x100000n, zero: ALL }]), 'ZERO_CLUSTER_BEYOND_EOF'),
  extl2_alloc_eof: notConverted('CLUSTER_BEYOND_EOF', extl2([{ host: COPIED | 0x100000n, allocated: 1 << 30 }])),
  extl2_ends_after_allocated: converts(extl2([{ allocated: 0xffff }], { fileSize: DATA + 16 * SUBCLUSTER })),
  extl2_ends_inside_allocated: converts(
    extl2([{ allocated: 0xffff }], { fileSize: DATA + 15 * SUBCLUSTER + 100 }),
    'TAIL_ZERO_PADDED',
  ),
  extl2_ends_before_allocated: notConverted(
    'CLUSTER_BEYOND_EOF',
    extl2([{ allocated: 0xffff }], { fileSize: DATA + 15 * SUBCLUSTER }),
  ),
  extl2_ov_l1: notConverted(
    'METADATA_OVERLAP',
    extl2([{ host: COPIED | BigInt(at('l1')), allocated: 1 << 20 }]),
    /L1 table/,
  ),
  extl2_ov_l2: notConverted('METADATA_OVERLAP', extl2([{ host: COPIED | BigInt(at('l2')), allocated: 1 }]), /L2 table/),
  extl2_unallocated_on_metadata: converts(extl2([{ host: COPIED | BigInt(at('l1')), zero: 0xff }])),
  extl2_l1_too_small: refused('L1_TOO_SMALL', extl2([], { size: 16n * 2n ** 20n + 512n })),
  extl2_l2_cut: notConverted(
    'L2_BEYOND_EOF',
    extl2([], { l1: [COPIED | BigInt(DATA)], data: [], fileSize: DATA + 4 * 16 - 8 }),
  ),
  extl2_l2_cut_after_need: converts(extl2([], { l1: [COPIED | BigInt(DATA)], data: [], fileSize: DATA + 4 * 16 })),
};
