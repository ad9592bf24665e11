import { COMPRESSED, COPIED, EXT, type ImageSpec, imageBytes, ZERO } from '../../support/hostile.ts';
import type { FilesRows } from '../../support/images.ts';
import { noise } from '../../support/qemu.ts';

/** An image of 64 KiB whose clusters lie in another file. */
function external(l2: readonly bigint[], name = 'data', { header, ...spec }: ImageSpec = {}): Uint8Array {
  return imageBytes({
    extensions: [{ type: EXT.dataFile, data: name }],
    l2,
    data: [Buffer.alloc(4096)],
    ...spec,
    header: { incompatibleFeatures: 4, ...header },
  });
}

const data = noise(0x10000, 'data');
const BOTH = [COPIED, COPIED | 0x1000n];
const RAW: ImageSpec = { header: { autoclearFeatures: 2 } };
/** A snapshot of nothing, where the only cluster of the image is. */
const SNAPSHOT: ImageSpec = { header: { nbSnapshots: 1, snapshotsOffset: 0x5000 } };

export const DATA_FILE_FILES: FilesRows = {
  df_ok: { files: { disk: external(BOTH), data }, warnings: [] },
  df_raw: { files: { disk: external(BOTH, 'data', RAW), data }, warnings: [] },
  df_raw_unallocated: { files: { disk: external([0n, COPIED | 0x1000n], 'data', RAW), data }, warnings: [] },
  df_off0_copied: { files: { disk: external([COPIED]), data }, warnings: [] },
  df_off0: { files: { disk: external([0n]), data }, warnings: [] },
  df_off0_zero: { files: { disk: external([COPIED | ZERO, ZERO]), data }, warnings: [] },
  df_not_copied: { files: { disk: external([0n, 0x1000n]), data }, warnings: [] },
  df_copied_zero_elsewhere: { files: { disk: external([0n, COPIED | ZERO]), data }, warnings: [] },
  df_mismatch: { files: { disk: external([COPIED | 0x1000n]), data }, code: 'DATA_FILE_OFFSET_MISMATCH' },
  df_mismatch_at_0: { files: { disk: external([0n, COPIED]), data }, code: 'DATA_FILE_OFFSET_MISMATCH' },
  df_mismatch_raw: {
    files: { disk: external([COPIED | 0x1000n], 'data', RAW), data },
    code: 'DATA_FILE_OFFSET_MISMATCH',
  },
  df_mismatch_of_zeros: {
    files: { disk: external([COPIED | ZERO | 0x1000n]), data },
    code: 'DATA_FILE_OFFSET_MISMATCH',
  },
  df_unaligned: { files: { disk: external([COPIED | 0x200n]), data }, code: 'CLUSTER_UNALIGNED' },
  df_comp: { files: { disk: external([COMPRESSED]), data }, code: 'COMPRESSED_IN_DATA_FILE' },
  df_short: { files: { disk: external(BOTH), data: data.subarray(0, 0x1000) }, code: 'CLUSTER_BEYOND_EOF' },
  df_empty: { files: { disk: external(BOTH), data: Buffer.alloc(0) }, code: 'CLUSTER_BEYOND_EOF' },
  df_empty_unneeded: { files: { disk: external([ZERO]), data: Buffer.alloc(0) }, warnings: [] },
  df_ends_mid_cluster: {
    files: { disk: external(BOTH), data: data.subarray(0, 0x1801) },
    warnings: ['TAIL_ZERO_PADDED'],
  },
  df_clusters_on_the_tables: {
    files: { disk: external([0n, COPIED | 0x1000n, COPIED | 0x2000n]), data },
    warnings: [],
  },
  df_missing: { files: { disk: external(BOTH, 'nope') }, code: 'SOURCE_NOT_FOUND', says: /nope/ },
  df_self: { files: { disk: external(BOTH, 'disk') }, code: 'EXTERNAL_REF_DENIED', says: /its own data file/ },
  df_self_raw: { files: { disk: external(BOTH, 'disk', RAW) }, code: 'EXTERNAL_REF_DENIED', says: /its own data file/ },
  df_unnamed: { files: { disk: external(BOTH, 'data', { extensions: [] }), data }, code: 'EXTERNAL_REF_DENIED' },
  df_http: { files: { disk: external(BOTH, 'http://169.254.169.254/latest/meta-data') }, code: 'EXTERNAL_REF_DENIED' },
  df_absolute: { files: { disk: external(BOTH, '/etc/passwd') }, code: 'EXTERNAL_REF_DENIED' },
  df_dotdot: { files: { disk: external(BOTH, '../data'), data }, code: 'EXTERNAL_REF_DENIED' },
  df_dot: { files: { disk: external(BOTH, './data'), data }, code: 'EXTERNAL_REF_DENIED' },
  df_json: {
    files: { disk: external(BOTH, 'json:{"driver":"file","filename":"data"}'), data },
    code: 'EXTERNAL_REF_DENIED',
  },
  df_long: { files: { disk: external(BOTH, 'a'.repeat(3000)) }, code: 'SOURCE_DENIED' },
  df_mapped: {
    files: { disk: external(BOTH, '/var/lib/images/disk.raw'), other: data },
    places: { '/var/lib/images/disk.raw': 'other' },
    like: { disk: external(BOTH), data },
    warnings: [],
  },
  df_snap: {
    files: { disk: external(BOTH, 'data', SNAPSHOT), data },
    warnings: ['SNAPSHOT_WITHOUT_DISK_SIZE', 'BAD_SNAPSHOT_TABLE'],
  },
  df_snap_chosen: {
    files: { disk: external(BOTH, 'data', SNAPSHOT), data },
    options: { snapshot: 'snapshot.id=' },
    code: 'BAD_SNAPSHOT_L1',
  },
};
