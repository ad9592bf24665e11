import {
  converts,
  convertsLike,
  EXT,
  type ImageSpec,
  notConverted,
  type Rows,
  refused,
  u64s,
} from '../../support/hostile.ts';

const SOUND: ImageSpec = {};
/** Bytes that the first cluster has for one extension's payload, from the header's end to its own. */
const ROOM = 4096 - 112 - 8;

export const EXTENSION_ROWS: Rows = {
  ext_too_large: refused('HEADER_EXT_TOO_LARGE', { extensions: [{ type: EXT.unknown, length: 0x7fffffff }] }),
  ext_ffffffff: refused('HEADER_EXT_TOO_LARGE', { extensions: [{ type: EXT.unknown, length: 0xffffffff }] }),
  ext_one_too_long: refused('HEADER_EXT_TOO_LARGE', { extensions: [{ type: EXT.unknown, length: ROOM + 1 }] }),
  ext_past_backing_name: refused('HEADER_EXT_TOO_LARGE', {
    backing: 'base.raw',
    extensions: [{ type: EXT.unknown, length: 32 }],
  }),
  ext_to_cluster_end: converts(
    { extensions: [{ type: EXT.unknown, data: Buffer.alloc(ROOM, 0xee) }] },
    'UNKNOWN_EXTENSION',
  ),
  ext_many: converts({ extensions: Array.from({ length: 256 }, () => ({ type: EXT.unknown })) }, 'UNKNOWN_EXTENSION'),
  ext_end_len: converts({ extensions: [{ type: EXT.end, length: 100 }] }),
  ext_end_len_max: refused('HEADER_EXT_TOO_LARGE', { extensions: [{ type: EXT.end, length: 0x7fffffff }] }),
  ext_end_cut: refused('HEADER_EXT_TOO_LARGE', { header: { backingFileOffset: 112 + 7 } }),
  ext_end_just_fits: converts({ header: { backingFileOffset: 112 + 8 } }, 'BACKING_NAME_EMPTY'),
  ext_backing_fmt_long: convertsLike(
    SOUND,
    { extensions: [{ type: EXT.backingFormat, data: 'x'.repeat(16) }] },
    'BAD_BACKING_FORMAT',
  ),
  ext_backing_fmt_15: converts({ extensions: [{ type: EXT.backingFormat, data: 'x'.repeat(15) }] }),
  ext_backing_fmt_long_with_backing: refused('BAD_BACKING_FORMAT', {
    backing: 'base.raw',
    extensions: [{ type: EXT.backingFormat, data: 'x'.repeat(16) }],
  }),
};

const cryptoExt = (offset: bigint, length = 592n) => ({ type: EXT.crypto, data: u64s([offset, length]) });
const LUKS = { 28672: Buffer.from('LUKS\xba\xbe\0\x01', 'latin1') };
const luks = (spec: ImageSpec): ImageSpec => ({ fileSize: 0x8000, patches: LUKS, header: { cryptMethod: 2 }, ...spec });

export const ENCRYPTION_ROWS: Rows = {
  ext_crypto_no_crypt: refused('BAD_CRYPTO_EXT', luks({ header: {}, extensions: [cryptoExt(0x7000n)] })),
  ext_crypto_with_aes: refused(
    'BAD_CRYPTO_EXT',
    luks({ header: { cryptMethod: 1 }, extensions: [cryptoExt(0x7000n)] }),
  ),
  ext_crypto_len: refused('BAD_CRYPTO_EXT', luks({ extensions: [{ type: EXT.crypto, data: u64s([0x7000n]) }] })),
  ext_crypto_len_24: refused('BAD_CRYPTO_EXT', luks({ extensions: [{ type: EXT.crypto, data: Buffer.alloc(24) }] })),
  ext_crypto_unaligned: refused('BAD_CRYPTO_EXT', luks({ extensions: [cryptoExt(4097n)] })),
  ext_crypto_eof: refused('BAD_LUKS_HEADER', luks({ extensions: [cryptoExt(0x8000n)] })),
  ext_crypto_far_eof: refused('BAD_LUKS_HEADER', luks({ extensions: [cryptoExt(2n ** 64n - 4096n)] })),
  ext_crypto_short: refused('BAD_LUKS_HEADER', luks({ extensions: [cryptoExt(0x7000n, 591n)] })),
  crypt_2_no_ext: refused('BAD_CRYPTO_EXT', { header: { cryptMethod: 2 } }),
  crypt_2: notConverted('KEY_REQUIRED', luks({ extensions: [cryptoExt(0x7000n)] })),
  crypt_3: refused('UNSUPPORTED_ENCRYPTION', { header: { cryptMethod: 3 } }),
  crypt_ffffffff: refused('UNSUPPORTED_ENCRYPTION', { header: { cryptMethod: 0xffffffff } }),
  crypt_1: notConverted('KEY_REQUIRED', { header: { cryptMethod: 1 } }),
  crypt_1_v2: notConverted('KEY_REQUIRED', { version: 2, header: { cryptMethod: 1 } }),
};

/** The bitmaps extension: count and reserved field, the directory's size and offset. */
function bitmapsExt(count: number, { reserved = 0, size = 32n, offset = 0x6000n } = {}) {
  return { type: EXT.bitmaps, data: u64s([(BigInt(count) << 32n) | BigInt(reserved), size, offset]) };
}
const withBitmaps = (...extensions: ImageSpec['extensions'] & object): ImageSpec => ({
  extensions,
  header: { autoclearFeatures: 1 },
});

export const BITMAP_ROWS: Rows = {
  bitmap_nb65536: convertsLike(SOUND, withBitmaps(bitmapsExt(65_536)), 'BITMAPS_INVALID'),
  bitmap_nb_0: convertsLike(SOUND, withBitmaps(bitmapsExt(0)), 'BITMAPS_INVALID'),
  bitmap_res: convertsLike(SOUND, withBitmaps(bitmapsExt(1, { reserved: 1 })), 'BITMAPS_INVALID'),
  bitmap_unaligned: convertsLike(SOUND, withBitmaps(bitmapsExt(1, { offset: 0x6200n })), 'BITMAPS_INVALID'),
  bitmap_dirbig: convertsLike(SOUND, withBitmaps(bitmapsExt(1, { size: 67_107_848n })), 'BITMAPS_INVALID'),
  bitmap_len: convertsLike(SOUND, withBitmaps({ type: EXT.bitmaps, data: Buffer.alloc(4) }), 'BITMAPS_INVALID'),
  bitmap_eof: convertsLike(SOUND, withBitmaps(bitmapsExt(1, { offset: 0x7000n })), 'BITMAPS_INVALID'),
  bitmap_garbage: convertsLike(
    { ...SOUND, fileSize: 0x8000 },
    {
      ...withBitmaps(bitmapsExt(1, { offset: 0x7000n })),
      fileSize: 0x8000,
      patches: { 28672: Buffer.alloc(32, 0xff) },
    },
    'BITMAPS_INVALID',
  ),
  bitmap_on_data: notConverted('METADATA_OVERLAP', withBitmaps(bitmapsExt(1)), /bitmap directory/),
  bitmap_stale_overlap: converts({ extensions: [bitmapsExt(1, { offset: 0x5000n })] }, 'BITMAPS_STALE'),
  bitmap_no_autoclear: converts({ extensions: [bitmapsExt(1)] }, 'BITMAPS_STALE'),
  bitmap_no_autoclear_and_broken: converts({ extensions: [bitmapsExt(1, { offset: 1n << 60n })] }, 'BITMAPS_STALE'),
  bitmap_autoclear_no_ext: converts({ header: { autoclearFeatures: 1 } }, 'BITMAPS_MISSING'),
};

const stated = (backing: string, format = 'raw'): ImageSpec => ({
  backing,
  extensions: [{ type: EXT.backingFormat, data: format }],
});
const name = (offset: number | bigint, size: number): ImageSpec => ({
  header: { backingFileOffset: offset, backingFileSize: size },
});

const longName = (offset: number, size: number): ImageSpec => ({
  ...name(offset, size),
  patches: { [offset]: Buffer.alloc(size, 'n') },
});

export const BACKING_ROWS: Rows = {
  back_nofmt: notConverted('BACKING_FORMAT_REQUIRED', { backing: 'base.raw' }),
  back_nofmt_v2: notConverted('BACKING_FORMAT_REQUIRED', { version: 2, backing: 'base.raw' }),
  back_fmt_starts_with_nul: notConverted('BACKING_FORMAT_REQUIRED', stated('base.raw', '\0raw')),
  back_self: notConverted('EXTERNAL_REF_DENIED', stated('1.qcow2', 'qcow2')),
  back_missing: notConverted('EXTERNAL_REF_DENIED', stated('nope.raw')),
  back_passwd: notConverted('EXTERNAL_REF_DENIED', stated('/etc/passwd'), /"\/etc\/passwd"/),
  back_dotdot: notConverted('EXTERNAL_REF_DENIED', stated('../../../../etc/passwd')),
  back_json: notConverted('EXTERNAL_REF_DENIED', stated('json:{"driver":"file","filename":"/etc/passwd"}')),
  back_http: notConverted('EXTERNAL_REF_DENIED', stated('http://169.254.169.254/latest/meta-data')),
  back_control_bytes: notConverted('EXTERNAL_REF_DENIED', stated('a\u001b[2J\nb'), /"a\\u001b\[2J\\nb"/),
  back_last_format_wins: notConverted('EXTERNAL_REF_DENIED', {
    backing: 'a',
    extensions: ['qcow2', 'raw'].map((data) => ({ type: EXT.backingFormat, data })),
  }),
  back_off_gt_cluster: refused('BAD_BACKING_NAME', name(4097, 8)),
  back_off_max: refused('BAD_BACKING_NAME', name(2n ** 64n - 1n, 8)),
  back_len_1024: refused('BAD_BACKING_NAME', name(1024, 1024)),
  back_len_1023: notConverted('BACKING_FORMAT_REQUIRED', longName(1024, 1023)),
  back_len_max: refused('BAD_BACKING_NAME', name(1024, 0xffffffff)),
  back_past_cluster: refused('BAD_BACKING_NAME', name(4090, 7)),
  back_to_cluster_end: notConverted('BACKING_FORMAT_REQUIRED', longName(4090, 6)),
  back_starts_with_nul: converts({ backing: '\0base.raw' }, 'BACKING_NAME_EMPTY'),
  back_len_0: converts(name(1024, 0), 'BACKING_NAME_EMPTY'),
  back_len_0_at_cluster_end: converts(name(4096, 0), 'BACKING_NAME_EMPTY'),
  back_off_0: converts(name(0, 8)),
  back_off_in_hdr: refused('BAD_BACKING_NAME', name(8, 8)),
};

const dataFile = (data: string, header: ImageSpec['header'] = { incompatibleFeatures: 4 }): ImageSpec => ({
  extensions: [{ type: EXT.dataFile, data }],
  header: header ?? {},
});

export const DATA_FILE_ROWS: Rows = {
  df_http: notConverted('EXTERNAL_REF_DENIED', dataFile('http://169.254.169.254/latest/meta-data')),
  df_self: notConverted('EXTERNAL_REF_DENIED', dataFile('1.qcow2')),
  df_missing: notConverted('EXTERNAL_REF_DENIED', dataFile('nope.raw')),
  df_long: notConverted('EXTERNAL_REF_DENIED', dataFile('a'.repeat(3000))),
  df_unnamed: notConverted('EXTERNAL_REF_DENIED', { header: { incompatibleFeatures: 4 } }, /unnamed/),
  df_raw: notConverted('EXTERNAL_REF_DENIED', dataFile('nope.raw', { incompatibleFeatures: 4, autoclearFeatures: 2 })),
  df_name_no_bit: converts(dataFile('nope.raw', {}), 'DATA_FILE_NAME_UNUSED'),
  df_rawbit_nobit: notConverted('BAD_DATA_FILE', { header: { autoclearFeatures: 2 } }),
};
