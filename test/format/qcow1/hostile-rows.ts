import type { ErrorCode, WarningCode } from '../../../lib/errors.ts';
import { TiB } from '../../../lib/units.ts';
import { deflated, u64s } from '../../support/hostile.ts';
import { AT_V1, COMPRESSED_V1, compressedV1, compressedV1Image, type Qcow1Spec } from '../../support/hostile-v1.ts';
import { noise } from '../../support/qemu.ts';

export interface Refused {
  readonly image: Qcow1Spec;
  readonly code: ErrorCode;
  /** The field or entry that is at fault. */
  readonly at: string;
  /** Whether it can be described all the same. */
  readonly opens: boolean;
}
export interface Converts {
  readonly image: Qcow1Spec;
  readonly warnings: readonly WarningCode[];
}

const refused = (code: ErrorCode, at: string, image: Qcow1Spec): Refused => ({ code, at, image, opens: false });
const unreadable = (code: ErrorCode, at: string, image: Qcow1Spec): Refused => ({ code, at, image, opens: true });
const converts = (image: Qcow1Spec, ...warnings: WarningCode[]): Converts => ({ image, warnings });

const header = (fields: NonNullable<Qcow1Spec['header']>): Qcow1Spec => ({ header: fields });
const size = (bytes: bigint) => header({ size: bytes });
const MAX = 2n ** 64n - 1n;

const HEADER_ROWS = {
  empty: refused('TRUNCATED_HEADER', 'header', { fileSize: 0 }),
  trunc_3: refused('TRUNCATED_HEADER', 'header', { fileSize: 3 }),
  trunc_8: refused('TRUNCATED_HEADER', 'header', { fileSize: 8 }),
  trunc_47: refused('TRUNCATED_HEADER', 'header', { fileSize: 47 }),
  header_alone: refused('L1_BEYOND_EOF', 'header.l1_table_offset', { fileSize: 48 }),
  magic: refused('NOT_QCOW', 'header.magic', header({ magic: 0x514649fc })),
  version_0: refused('UNSUPPORTED_VERSION', 'header.version', header({ version: 0 })),
  version_2: refused('UNSUPPORTED_VERSION', 'header.version', header({ version: 2 })),
  version_max: refused('UNSUPPORTED_VERSION', 'header.version', header({ version: 0xffffffff })),
  size_0: refused('BAD_SIZE', 'header.size', size(0n)),
  size_1: refused('BAD_SIZE', 'header.size', size(1n)),
  size_max: refused('VIRTUAL_SIZE_TOO_LARGE', 'header.size', size(MAX)),
  size_i64: refused('VIRTUAL_SIZE_TOO_LARGE', 'header.size', size(2n ** 63n - 1n)),
  size_one_entry_too_many: refused('VIRTUAL_SIZE_TOO_LARGE', 'header.size', size((2n ** 28n - 1n) * 2n ** 21n + 1n)),
  size_most_entries: refused('L1_BEYOND_EOF', 'header.l1_table_offset', size((2n ** 28n - 1n) * 2n ** 21n)),
  size_152TiB_in_516_bytes: refused('L1_BEYOND_EOF', 'header.l1_table_offset', {
    ...header({ size: 152n * BigInt(TiB), clusterBits: 16, l2Bits: 13 }),
    fileSize: 516,
  }),
  cb_8: refused('BAD_CLUSTER_BITS', 'header.cluster_bits', header({ clusterBits: 8 })),
  cb_17: refused('BAD_CLUSTER_BITS', 'header.cluster_bits', header({ clusterBits: 17 })),
  cb_0: refused('BAD_CLUSTER_BITS', 'header.cluster_bits', header({ clusterBits: 0 })),
  cb_255: refused('BAD_CLUSTER_BITS', 'header.cluster_bits', header({ clusterBits: 255 })),
  l2b_5: refused('BAD_L2_BITS', 'header.l2_bits', header({ l2Bits: 5 })),
  l2b_14: refused('BAD_L2_BITS', 'header.l2_bits', header({ l2Bits: 14 })),
  l2b_0: refused('BAD_L2_BITS', 'header.l2_bits', header({ l2Bits: 0 })),
  l2b_255: refused('BAD_L2_BITS', 'header.l2_bits', header({ l2Bits: 255 })),
  crypt_2: refused('UNSUPPORTED_ENCRYPTION', 'header.crypt_method', header({ cryptMethod: 2 })),
  crypt_max: refused('UNSUPPORTED_ENCRYPTION', 'header.crypt_method', header({ cryptMethod: 0xffffffff })),
} satisfies Record<string, Refused>;

const named = (fields: NonNullable<Qcow1Spec['header']>): Qcow1Spec => ({ backing: 'base.raw', header: fields });
const NAME_ROWS = {
  back_long: refused('BAD_BACKING_NAME', 'header.backing_file_size', named({ backingFileSize: 1024 })),
  back_max: refused('BAD_BACKING_NAME', 'header.backing_file_size', named({ backingFileSize: 0xffffffff })),
  back_in_header: refused('BAD_BACKING_NAME', 'header.backing_file_offset', named({ backingFileOffset: 8 })),
  back_past_eof: refused('BAD_BACKING_NAME', 'header.backing_file_offset', named({ backingFileOffset: 0x100000 })),
  back_straddles_eof: refused('BAD_BACKING_NAME', 'header.backing_file_offset', named({ backingFileOffset: 0x3ffc })),
  back_off_max: refused('BAD_BACKING_NAME', 'header.backing_file_offset', named({ backingFileOffset: MAX })),
  back_on_l1: refused('METADATA_OVERLAP', 'header.l1_table_offset', named({ l1TableOffset: 55 })),
} satisfies Record<string, Refused>;

const l1At = (offset: number | bigint, image: Qcow1Spec = {}) => ({ ...image, ...header({ l1TableOffset: offset }) });
const l1 = (...entries: bigint[]): Qcow1Spec => ({ l1: entries });
const END = AT_V1.data + 2 * 4096;

const L1_ROWS = {
  l1_eof: refused('L1_BEYOND_EOF', 'header.l1_table_offset', l1At(0x100000)),
  l1_at_eof: refused('L1_BEYOND_EOF', 'header.l1_table_offset', l1At(END)),
  l1_straddles_eof: refused('L1_BEYOND_EOF', 'header.l1_table_offset', l1At(END - 7)),
  l1_max: refused('L1_BEYOND_EOF', 'header.l1_table_offset', l1At(MAX)),
  l1_i64: refused('L1_BEYOND_EOF', 'header.l1_table_offset', l1At(2n ** 63n - 1n)),
  l1_0: refused('L1_OVERLAPS_HEADER', 'header.l1_table_offset', l1At(0)),
  l1_47: refused('L1_OVERLAPS_HEADER', 'header.l1_table_offset', l1At(47)),
  l2_eof: unreadable('L2_BEYOND_EOF', 'l1[0]', l1(0x100000n)),
  l2_at_eof: unreadable('L2_BEYOND_EOF', 'l1[0]', l1(BigInt(END))),
  l2_straddles: unreadable('L2_BEYOND_EOF', 'l1[0]', l1(BigInt(END - 16 * 8 + 1))),
  l2_high: unreadable('L2_BEYOND_EOF', 'l1[0]', l1((2n ** 63n) | 0x1000n)),
  l2_max: unreadable('L2_BEYOND_EOF', 'l1[0]', l1(MAX)),
  l2_2p32: unreadable('L2_BEYOND_EOF', 'l1[0]', l1((2n ** 32n) | 0x1000n)),
  l2_second: unreadable('L2_BEYOND_EOF', 'l1[1]', { size: 0x200200n, ...l1(0x1000n, 0x100000n) }),
  l2_on_header: unreadable('METADATA_OVERLAP', 'l1[0]', l1(40n)),
  l2_on_l1: unreadable('METADATA_OVERLAP', 'l1[0]', l1(48n)),
  l2_on_name: unreadable('METADATA_OVERLAP', 'l1[0]', { backing: 'base.raw', ...l1(51n) }),
} satisfies Record<string, Refused>;

const FIRST = BigInt(AT_V1.data);
/** The second cluster's entry; the first is sound. */
const second = (entry: bigint): Qcow1Spec => ({ l2: [FIRST, entry] });
export const QCOW1_TEXT = Buffer.from(noise(2048).toString('hex'));
const STREAM = deflated(QCOW1_TEXT);
/** Has matches 20,000 bytes back. */
const FAR = deflated(Buffer.concat([noise(20_000), noise(20_000), Buffer.alloc(25_536)]), 15);

const L2_ROWS = {
  data_eof: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', second(0x100000n)),
  data_at_eof: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', second(BigInt(END))),
  data_max: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', second(0x7ffffffffffffe00n)),
  data_2p32: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', second((2n ** 32n) | FIRST)),
  data_at_2p32: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', second(2n ** 32n)),
  data_2p53: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', second((2n ** 53n) | FIRST)),
  data_missing: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', { fileSize: END - 4096 }),
  data_unaligned: unreadable('CLUSTER_UNALIGNED', 'l2[0][1]', second(FIRST + 8n)),
  data_half_a_sector: unreadable('CLUSTER_UNALIGNED', 'l2[0][1]', second(FIRST + 256n)),
  data_odd: unreadable('CLUSTER_UNALIGNED', 'l2[0][1]', second(FIRST + 1n)),
  data_1: unreadable('CLUSTER_UNALIGNED', 'l2[0][1]', second(1n)),
  encrypted_tail: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', { fileSize: END - 512, ...header({ cryptMethod: 1 }) }),
  data_on_l2: unreadable('METADATA_OVERLAP', 'disk[4096]', second(BigInt(AT_V1.l2))),
  data_into_l2: unreadable('METADATA_OVERLAP', 'disk[4096]', second(BigInt(AT_V1.l2 - 512))),
  data_on_the_l2_tables_end: unreadable('METADATA_OVERLAP', 'disk[4096]', {
    ...second(BigInt(AT_V1.l2 + 3584)),
    size: 0x200000n,
  }),
  data_on_l2_shared: unreadable('METADATA_OVERLAP', 'disk[4096]', {
    ...second(BigInt(AT_V1.l2 + 3584)),
    size: 0x400000n,
    ...l1(0x1000n, 0x1000n),
  }),
  comp_0: unreadable('DECOMPRESS_SHORT', 'l2[0][1]', second(COMPRESSED_V1)),
  comp_on_header: unreadable('METADATA_OVERLAP', 'disk[4096]', second(compressedV1(0, 100))),
  comp_on_l1: unreadable('METADATA_OVERLAP', 'disk[4096]', second(compressedV1(AT_V1.l1, 100))),
  comp_eof: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', second(compressedV1(0x100000, 100))),
  comp_max: unreadable('CLUSTER_BEYOND_EOF', 'l2[0][1]', second(MAX)),
  comp_cut: unreadable(
    'CLUSTER_BEYOND_EOF',
    'l2[0][0]',
    compressedV1Image(STREAM, { fileSize: AT_V1.data + STREAM.length - 1 }),
  ),
  comp_garbage: unreadable('DECOMPRESS_FAILED', 'disk[0]', compressedV1Image(Buffer.alloc(600, 0xff))),
  comp_zlib_header: unreadable('DECOMPRESS_FAILED', 'disk[0]', compressedV1Image(Buffer.from([0x78, 0x9c, ...STREAM]))),
  comp_length_0: unreadable(
    'DECOMPRESS_SHORT',
    'l2[0][0]',
    compressedV1Image(STREAM, { entry: compressedV1(AT_V1.data, 0) }),
  ),
  comp_length_short: unreadable(
    'DECOMPRESS_SHORT',
    'disk[0]',
    compressedV1Image(STREAM, { entry: compressedV1(AT_V1.data, 600) }),
  ),
  comp_short_output: unreadable(
    'DECOMPRESS_SHORT',
    'disk[0]',
    compressedV1Image(deflated(QCOW1_TEXT.subarray(0, 2000))),
  ),
} satisfies Record<string, Refused>;

const iso = { 32769: Buffer.from('CD001') };
export const QCOW1_CONVERTED = {
  ok: converts({}),
  size_2: converts(size(2n), 'SIZE_NOT_512'),
  size_2_without_l1: converts({ ...size(2n), fileSize: 48 }, 'SIZE_NOT_512'),
  size_2_with_l1_past_eof: converts(header({ size: 2n, l1TableOffset: 2n ** 40n }), 'SIZE_NOT_512'),
  size_511: converts(size(511n), 'SIZE_NOT_512'),
  size_512: converts(size(512n)),
  size_513: converts(size(513n), 'SIZE_NOT_512'),
  size_1000: converts(size(1000n), 'SIZE_NOT_512'),
  size_ends_mid_cluster: converts(size(0x1a00n)),
  mtime: converts(header({ mtime: 0xffffffff })),
  padding: converts(header({ padding: 0xffff })),
  back_starts_with_nul: converts({ backing: '\0base.raw' }, 'BACKING_NAME_EMPTY'),
  back_len_0: converts(header({ backingFileOffset: 48 }), 'BACKING_NAME_EMPTY'),
  back_off_0: converts(header({ backingFileSize: 100 })),
  back_empty_far_off: converts(header({ backingFileOffset: 2n ** 40n }), 'BACKING_NAME_EMPTY'),
  l1_unaligned: converts({ ...l1At(57), patches: { 57: u64s([BigInt(AT_V1.l2)]) } }),
  l1_after_data: converts({ ...l1At(END + 3), fileSize: END + 11, patches: { [END + 3]: u64s([BigInt(AT_V1.l2)]) } }),
  l1_surplus_garbage: converts({ patches: { 56: Buffer.alloc(8, 0xff) } }),
  l1_unallocated: converts(l1(0n)),
  l2_unaligned: converts({ ...l1(0x1008n), patches: { 4104: u64s([FIRST]), 4112: Buffer.alloc(16) } }, 'L2_UNALIGNED'),
  l2_odd: converts({ ...l1(0x0f01n), patches: { 3841: u64s([FIRST]) } }, 'L2_UNALIGNED'),
  l2_sector: converts({ ...l1(0x0e00n), patches: { 3584: u64s([FIRST]) } }),
  l2_cut_after_need: converts({ ...l1(0x4000n), fileSize: 0x4000 + 16 * 8 }),
  l2_past_the_disk: converts({ size: 0x1000n, ...second(FIRST + 1n) }),
  l2_shared: converts({ size: 0x400000n, ...l1(0x1000n, 0x1000n) }, 'SHARED_CLUSTER'),
  data_on_a_sector: converts(second(FIRST + 512n), 'SHARED_CLUSTER'),
  data_shared: converts(second(FIRST), 'SHARED_CLUSTER'),
  data_on_l2_entries_that_are_not_needed: converts(second(BigInt(AT_V1.l2 + 512)), 'SHARED_CLUSTER'),
  data_right_before_l2: converts({ ...l1(0x1200n), patches: { 4608: u64s([0x200n]) } }),
  data_tail: converts({ fileSize: END - 2048 }, 'TAIL_ZERO_PADDED'),
  data_one_byte_of_tail: converts({ fileSize: END - 4095 }, 'TAIL_ZERO_PADDED'),
  data_tail_past_the_disk: converts({ size: 0x1800n, fileSize: END - 2048 }),
  comp: converts(compressedV1Image(STREAM)),
  comp_odd_offset: converts({
    ...compressedV1Image(STREAM, { entry: compressedV1(AT_V1.data + 13, STREAM.length) }),
    data: [Buffer.concat([Buffer.alloc(13), STREAM])],
    fileSize: AT_V1.data + 13 + STREAM.length,
  }),
  comp_long_output: converts(compressedV1Image(deflated(Buffer.concat([QCOW1_TEXT, Buffer.alloc(4096)])))),
  comp_bomb: converts(compressedV1Image(deflated(Buffer.alloc(2 ** 21, 7)))),
  comp_trailing: converts(compressedV1Image(Buffer.concat([STREAM, noise(300)]))),
  comp_window_32k: converts({
    clusterBits: 16,
    data: [FAR],
    l2: [compressedV1(0x20000, FAR.length, 16)],
  }),
  comp_last_half: converts({ ...compressedV1Image(STREAM), size: 2048n }),
  poly_iso: converts({ fileSize: 0x9000, patches: iso }, 'MULTIPLE_FORMATS'),
} satisfies Record<string, Converts>;

export const QCOW1_REFUSED: Readonly<Record<string, Refused>> = {
  ...HEADER_ROWS,
  ...NAME_ROWS,
  ...L1_ROWS,
  ...L2_ROWS,
};
