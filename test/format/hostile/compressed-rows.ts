import { deflateSync, zstdCompressSync } from 'node:zlib';
import {
  AT,
  COMPRESSED,
  COPIED,
  compressedEntry,
  compressedImage,
  compressedSectors,
  converts,
  deflated,
  type ImageSpec,
  notConverted,
  padded,
  type Rows,
} from '../../support/hostile.ts';
import { noise } from '../../support/qemu.ts';

const CLUSTER = 4096;
/** A cluster that deflates to about a third. */
const TEXT = Buffer.from(
  noise(CLUSTER)
    .toString('hex')
    .replaceAll(/[89abcdef]/g, ' '),
).subarray(0, CLUSTER);
const STREAM = deflated(TEXT);
const SECTORS = Math.ceil(STREAM.length / 512);
/** A stream of more than one sector and less than two. */
const TWO_SECTORS = deflated(Buffer.concat([noise(700)], CLUSTER));
/** A cluster that deflate can only store: the stream is longer than the cluster. */
const STORED = deflated(noise(CLUSTER));
const at = (host: number | bigint, sectors = 0) => compressedSectors(0, sectors) | BigInt(host);

/** A block that is not the last and holds its bytes as they are. */
function storedBlock(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt16LE(bytes.length, 1);
  head.writeUInt16LE(0xffff - bytes.length, 3);
  return Buffer.concat([head, bytes]);
}

/** 20,000 bytes of noise, and again: only a window of 32 KiB reaches back that far. */
const FAR_BACK = Buffer.concat([noise(20_000), noise(20_000), Buffer.alloc(65_536 - 40_000, 0x5a)]);

export const COMPRESSED_ROWS: Rows = {
  ok_comp: converts(compressedImage(STREAM)),
  ok_comp_v2: converts(compressedImage(STREAM, { version: 2 })),
  ok_comp_eof: converts(compressedImage(STREAM, { fileSize: AT.data + STREAM.length })),
  ok_comp_incompressible: converts(compressedImage(STORED)),
  ok_comp_trailing: converts(compressedImage(Buffer.concat([STREAM, noise(SECTORS * 512 - STREAM.length)]))),
  ok_comp_neighbours: converts({
    data: [Buffer.concat([STREAM, deflated(Buffer.alloc(CLUSTER, 0x77))])],
    l2: [compressedEntry(AT.data, STREAM.length), compressedEntry(AT.data + STREAM.length, 100)],
  }),
  ok_comp_last_cluster_partial: converts(compressedImage(STREAM, { size: 0x600n })),
  comp_nsec_max: converts(compressedImage(STREAM, { entry: compressedSectors(AT.data, 15) })),
  comp_nsec_short: converts(compressedImage(deflated(Buffer.alloc(CLUSTER, 1)), { entry: at(AT.data) })),
  comp_bit0: converts({
    data: [Buffer.concat([Buffer.of(0xff), STREAM])],
    l2: [compressedEntry(AT.data + 1, STREAM.length)],
  }),
  comp_copied: converts(
    compressedImage(STREAM, { entry: COPIED | compressedEntry(AT.data, STREAM.length) }),
    'COPIED_ON_COMPRESSED',
  ),
  comp_window_32k: converts(compressedImage(deflated(FAR_BACK, 15), { clusterBits: 16 })),
  comp_bomb: converts(
    compressedImage(deflated(Buffer.alloc(64 << 20, 0x61)), { entry: compressedSectors(AT.data, 15) }),
  ),
  comp_no_final: converts(compressedImage(padded(STREAM.subarray(0, -2), 512))),
  comp_one_sector_too_few: notConverted('DECOMPRESS_SHORT', compressedImage(TWO_SECTORS, { entry: at(AT.data) })),
  // The sectors are counted from the one in which the stream starts.
  comp_sector_almost_over: notConverted('DECOMPRESS_SHORT', {
    data: [Buffer.concat([Buffer.alloc(500), TWO_SECTORS])],
    l2: [at(AT.data + 500, 1)],
  }),
  comp_truncated_stream: notConverted('DECOMPRESS_SHORT', compressedImage(STREAM, { entry: at(AT.data) })),
  comp_garbage_at_cluster_end: notConverted(
    'DECOMPRESS_FAILED',
    compressedImage(Buffer.concat([storedBlock(TEXT), Buffer.alloc(64, 0xff)])),
  ),
  comp_garbage_after_cluster: converts(
    compressedImage(Buffer.concat([storedBlock(Buffer.concat([TEXT, TEXT.subarray(0, 1)])), Buffer.alloc(64, 0xff)])),
  ),
  comp_garbage: notConverted('DECOMPRESS_FAILED', compressedImage(Buffer.alloc(512, 0xff))),
  comp_zeros: notConverted('DECOMPRESS_FAILED', compressedImage(Buffer.alloc(512))),
  comp_short_output: notConverted('DECOMPRESS_SHORT', compressedImage(deflated(TEXT.subarray(0, 2000)))),
  comp_zlib_header: notConverted('DECOMPRESS_FAILED', compressedImage(deflateSync(TEXT))),
  comp_off_eof: notConverted('CLUSTER_BEYOND_EOF', compressedImage(STREAM, { entry: at(0x7000) })),
  comp_at_eof: notConverted('CLUSTER_BEYOND_EOF', compressedImage(STREAM, { entry: at(0x6000) })),
  comp_far_eof: notConverted('CLUSTER_BEYOND_EOF', compressedImage(STREAM, { entry: at(1n << 40n) })),
  comp_2p57_eof: notConverted('CLUSTER_BEYOND_EOF', compressedImage(STREAM, { entry: COMPRESSED | (2n ** 58n - 1n) })),
  comp_cut: notConverted('DECOMPRESS_SHORT', compressedImage(STREAM, { fileSize: AT.data + 100 })),
  comp_off_0: notConverted('METADATA_OVERLAP', compressedImage(STREAM, { entry: COMPRESSED }), /header/),
  comp_on_l1: notConverted('METADATA_OVERLAP', compressedImage(STREAM, { entry: at(AT.l1 + 8) }), /L1 table/),
  // 32 L1 entries share an L2 table whose 512 entries share a stream: a file of 24 KiB holds 64 MiB.
  amp_shared: converts({
    size: 64n << 20n,
    l1: Array.from({ length: 32 }, () => COPIED | BigInt(AT.l2)),
    l2: Array.from({ length: 512 }, () => compressedEntry(AT.data, STREAM.length)),
    data: [STREAM],
  }),
};

const FRAME = zstdCompressSync(TEXT);
/** A frame that readers skip, of so many bytes. */
function skippable(length: number): Buffer {
  const frame = Buffer.alloc(8 + length);
  frame.writeUInt32LE(0x184d2a50);
  frame.writeUInt32LE(length, 4);
  return frame;
}
const zstd = (stream: Uint8Array): ImageSpec => ({
  ...compressedImage(stream),
  header: { incompatibleFeatures: 8, compressionType: 1 },
});

/** What zstd itself may do wrong is held in test/chunk/zstd.test.ts. */
export const ZSTD_ROWS: Rows = {
  ok_zstd: converts(zstd(FRAME)),
  ok_zstd_trailing: converts(zstd(Buffer.concat([FRAME, noise(512 - (FRAME.length % 512))]))),
  ok_zstd_two_frames: converts(
    zstd(Buffer.concat([zstdCompressSync(TEXT.subarray(0, 1000)), zstdCompressSync(TEXT.subarray(1000))])),
  ),
  zstd_skippable_ok: converts(zstd(Buffer.concat([skippable(10), FRAME]))),
  zstd_skippable: notConverted('DECOMPRESS_FAILED', zstd(skippable(500))),
  zstd_short: notConverted('DECOMPRESS_SHORT', zstd(zstdCompressSync(TEXT.subarray(1)))),
  zstd_trunc: notConverted('DECOMPRESS_SHORT', zstd(padded(FRAME.subarray(0, 1024), 4096))),
  zstd_bomb: notConverted('DECOMPRESS_FAILED', zstd(zstdCompressSync(Buffer.alloc(256 << 20)))),
  zstd_is_deflate: notConverted('DECOMPRESS_FAILED', zstd(STREAM)),
  zstd_eof: notConverted('CLUSTER_BEYOND_EOF', { ...zstd(FRAME), l2: [at(0x100000)] }),
};
