import {
  converts,
  convertsLike,
  EXT,
  type ImageSpec,
  notConverted,
  type Rows,
  refused,
} from '../../support/hostile.ts';

const SOUND: ImageSpec = {};

export const CONTROL_ROWS: Rows = {
  ok_v2: converts({ version: 2 }),
  ok_v3: converts(SOUND),
  ok_512: converts({ clusterBits: 9, size: 0x2000n }),
  ok_2m: converts({ clusterBits: 21, size: 8n << 20n }),
};

export const HEADER_ROWS: Rows = {
  hdr_empty: refused('TRUNCATED_HEADER', { fileSize: 0 }),
  hdr_3: refused('TRUNCATED_HEADER', { fileSize: 3 }),
  hdr_magic_only: refused('TRUNCATED_HEADER', { fileSize: 4 }),
  hdr_7: refused('TRUNCATED_HEADER', { fileSize: 7 }),
  hdr_trunc_71: refused('TRUNCATED_HEADER', { version: 2, fileSize: 71 }),
  hdr_v3_trunc_71: refused('TRUNCATED_HEADER', { fileSize: 71 }),
  hdr_v3_trunc_103: refused('TRUNCATED_HEADER', { fileSize: 103 }),
  hdr_trunc_in_tail: refused('TRUNCATED_HEADER', { fileSize: 111 }),
  hdr_and_no_more: refused('L1_BEYOND_EOF', { fileSize: 112 }),
  hdr_bad_magic: refused('NOT_QCOW', { header: { magic: 0x514649fc } }),
  hdr_zeros: refused('NOT_QCOW', { header: { magic: 0 } }),
  hdr_version_0: refused('UNSUPPORTED_VERSION', { header: { version: 0 } }),
  hdr_version_4: refused('UNSUPPORTED_VERSION', { header: { version: 4 } }),
  hdr_version_ffffffff: refused('UNSUPPORTED_VERSION', { header: { version: 0xffffffff } }),
  hdr_cluster_bits_0: refused('BAD_CLUSTER_BITS', { header: { clusterBits: 0 } }),
  hdr_cluster_bits_8: refused('BAD_CLUSTER_BITS', { header: { clusterBits: 8 } }),
  hdr_cluster_bits_16: refused('BAD_CLUSTER_BITS', { header: { clusterBits: 22 } }),
  hdr_cluster_bits_1f: refused('BAD_CLUSTER_BITS', { header: { clusterBits: 31 } }),
  hdr_cluster_bits_40: refused('BAD_CLUSTER_BITS', { header: { clusterBits: 64 } }),
  hdr_cluster_bits_ffffffff: refused('BAD_CLUSTER_BITS', { header: { clusterBits: 0xffffffff } }),
  hdr_v2_cluster_bits_22: refused('BAD_CLUSTER_BITS', { version: 2, header: { clusterBits: 22 } }),
  hdr_length_0: refused('BAD_HEADER_LENGTH', { header: { headerLength: 0 } }),
  hdr_length_48: refused('BAD_HEADER_LENGTH', { header: { headerLength: 72 } }),
  hdr_length_103: refused('BAD_HEADER_LENGTH', { header: { headerLength: 103 } }),
  hdr_length_104: converts({ header: { headerLength: 104 } }),
  hdr_length_69: converts({ header: { headerLength: 105 } }, 'HEADER_LENGTH_UNALIGNED'),
  hdr_length_1000: converts({ header: { headerLength: 4096 } }),
  hdr_length_1001: refused('BAD_HEADER_LENGTH', { header: { headerLength: 4097 } }),
  hdr_length_ffffffff: refused('BAD_HEADER_LENGTH', { header: { headerLength: 0xffffffff } }),
  hdr_refcount_order_7: convertsLike(SOUND, { header: { refcountOrder: 7 } }, 'BAD_REFCOUNT_ORDER'),
  hdr_refcount_order_ff: convertsLike(SOUND, { header: { refcountOrder: 0xffffffff } }, 'BAD_REFCOUNT_ORDER'),
  ...Object.fromEntries(
    [0, 1, 2, 3, 5, 6].map((order) => [`ok_refcount_order_${order}`, converts({ header: { refcountOrder: order } })]),
  ),
  hdr_reftable_clusters_0: convertsLike(SOUND, { header: { refcountTableClusters: 0 } }, 'BAD_REFTABLE'),
  hdr_reftable_clusters_max: convertsLike(SOUND, { header: { refcountTableClusters: 0xffffffff } }, 'BAD_REFTABLE'),
  hdr_reftable_unaligned: convertsLike(SOUND, { header: { refcountTableOffset: 0x1200 } }, 'BAD_REFTABLE'),
  hdr_reftable_eof: converts({ header: { refcountTableOffset: 1n << 40n } }),
  hdr_reftable_runs_past_eof: converts({ header: { refcountTableOffset: 0x7000, refcountTableClusters: 2048 } }),
};

export const SIZE_ROWS: Rows = {
  size_0_plain: converts({ size: 0n, l1: [], header: { l1TableOffset: 0 } }),
  size_0_v2: converts({ version: 2, size: 0n, l1: [], header: { l1TableOffset: 0 } }),
  size_1: converts({ size: 1n }, 'SIZE_NOT_512'),
  size_513: converts({ size: 513n }, 'SIZE_NOT_512'),
  size_1000: converts({ size: 1000n }, 'SIZE_NOT_512'),
  size_v2_1000: converts({ version: 2, size: 1000n }, 'SIZE_NOT_512'),
  size_last_cluster_partial: converts({ size: 0x1200n }),
  size_2p63: refused('VIRTUAL_SIZE_TOO_LARGE', { size: 2n ** 63n }),
  size_2p64m1: refused('VIRTUAL_SIZE_TOO_LARGE', { size: 2n ** 64n - 1n }),
  size_2p63m1: refused('VIRTUAL_SIZE_TOO_LARGE', { size: 2n ** 63n - 1n }),
  size_2p63m1_2m: refused('L1_TOO_SMALL', { size: 2n ** 63n - 1n, clusterBits: 21 }),
  size_l1_too_small: refused('L1_TOO_SMALL', { size: 2n * 1024n * 1024n + 512n }),
  size_l1_0: refused('L1_TOO_SMALL', { l1: [] }),
  size_1EiB_sparse: refused('L1_BEYOND_EOF', { clusterBits: 21, size: 2n ** 60n, header: { l1Size: 2 ** 21 } }),
  size_64TiB_sparse: notConverted('OUTPUT_LIMIT', {
    clusterBits: 21,
    size: 2n ** 46n,
    l1: Array.from({ length: 128 }, () => 0n),
  }),
};

/** Feature names as their table holds them: 48 bytes a row. */
export function featureNames(...rows: readonly (readonly [bit: number, name: string, kind?: number])[]): Uint8Array {
  return Buffer.concat(
    rows.map(([bit, name, kind = 0]) => Buffer.concat([Uint8Array.of(kind, bit), Buffer.from(name)], 48)),
  );
}

const bit = (number: number) => 1n << BigInt(number);

export const FEATURE_ROWS: Rows = {
  feat_incompat_5: notConverted('UNSUPPORTED_FEATURE', { header: { incompatibleFeatures: bit(5) } }, /feature 5$/),
  feat_incompat_63: notConverted('UNSUPPORTED_FEATURE', { header: { incompatibleFeatures: bit(63) } }, /feature 63$/),
  feat_named: notConverted(
    'UNSUPPORTED_FEATURE',
    {
      header: { incompatibleFeatures: bit(5) | bit(63) },
      extensions: [{ type: EXT.featureNames, data: featureNames([5, 'future bit'], [63, 'x'.repeat(46)]) }],
    },
    /needs future bit, x{46}$/,
  ),
  feat_table_odd: notConverted(
    'UNSUPPORTED_FEATURE',
    {
      header: { incompatibleFeatures: bit(5) },
      extensions: [{ type: EXT.featureNames, data: Buffer.concat([featureNames([5, 'future bit']), Buffer.of(0)]) }],
    },
    /needs future bit$/,
  ),
  feat_table_cut: notConverted(
    'UNSUPPORTED_FEATURE',
    {
      header: { incompatibleFeatures: bit(5) },
      extensions: [{ type: EXT.featureNames, data: featureNames([5, 'future bit']).subarray(0, 47) }],
    },
    /feature 5$/,
  ),
  feat_table_bit200: notConverted(
    'UNSUPPORTED_FEATURE',
    {
      header: { incompatibleFeatures: bit(5) },
      extensions: [{ type: EXT.featureNames, data: featureNames([200, 'never']) }],
    },
    /feature 5$/,
  ),
  ok_compat_unknown: converts({ header: { compatibleFeatures: ~0n & (2n ** 64n - 1n) } }),
  ok_autoclear_unknown: converts({ header: { autoclearFeatures: 0xfffffffffffffffcn } }),
  ok_dirty: converts({ header: { incompatibleFeatures: bit(0) } }, 'DIRTY'),
  ok_corrupt: converts({ header: { incompatibleFeatures: bit(1) } }, 'CORRUPT'),
  ok_dirty_and_corrupt: converts({ header: { incompatibleFeatures: 3n } }, 'DIRTY', 'CORRUPT'),
  // A version 2 image has extensions where version 3 has feature bits.
  ok_v2_no_features: converts(
    { version: 2, extensions: [{ type: EXT.unknown, data: Buffer.alloc(32, 0xff) }] },
    'UNKNOWN_EXTENSION',
  ),
  ctype_bit_no_field: refused('BAD_COMPRESSION_TYPE', { header: { incompatibleFeatures: bit(3), headerLength: 104 } }),
  ctype_bit_type0: refused('BAD_COMPRESSION_TYPE', { header: { incompatibleFeatures: bit(3) } }),
  ctype_type1_nobit: refused('BAD_COMPRESSION_TYPE', { header: { compressionType: 1 } }),
  ctype_type2: refused('UNSUPPORTED_COMPRESSION', { header: { compressionType: 2 } }),
  ctype_type2_bit: refused('UNSUPPORTED_COMPRESSION', { header: { compressionType: 2, incompatibleFeatures: bit(3) } }),
  extl2_cluster_8k: refused('BAD_CLUSTER_BITS', { clusterBits: 13, header: { incompatibleFeatures: bit(4) } }),
};
