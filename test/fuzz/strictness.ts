import type { ErrorCode, WarningCode } from '../../lib/errors.ts';

/**
 * The codes by which we refuse what `qemu-img convert` converts, since its bytes would be wrong, missing, from elsewhere, or
 * without bound.
 */
export const STRICTER = new Map<ErrorCode, 'missing' | 'wrong' | 'elsewhere' | 'unbounded'>([
  ['TRUNCATED_HEADER', 'missing'],
  ['L1_BEYOND_EOF', 'missing'],
  ['L2_BEYOND_EOF', 'missing'],
  ['CLUSTER_BEYOND_EOF', 'missing'],
  ['BAD_LUKS_HEADER', 'missing'],
  ['L1_OVERLAPS_HEADER', 'wrong'],
  ['METADATA_OVERLAP', 'wrong'],
  ['BAD_SNAPSHOT_L1', 'wrong'],
  ['BAD_BACKING_NAME', 'elsewhere'],
  ['BACKING_FORMAT_REQUIRED', 'elsewhere'],
  ['EXTERNAL_REF_DENIED', 'elsewhere'],
  ['BACKING_LOOP', 'unbounded'],
  ['OUTPUT_LIMIT', 'unbounded'],
  ['KEY_TOO_COSTLY', 'unbounded'],
]);

/** What we only warn of, since it cannot change the disk's bytes, where QEMU refuses the image. */
export const LENIENT: ReadonlySet<WarningCode> = new Set<WarningCode>([
  'BAD_REFCOUNT_ORDER',
  'BAD_REFTABLE',
  'BAD_BACKING_FORMAT',
  'BACKING_NAME_EMPTY',
  'BITMAPS_INVALID',
  'BITMAPS_STALE',
  'SNAPSHOT_TABLE_TOO_LARGE',
  'BAD_SNAPSHOT_TABLE',
  'SNAPSHOT_EXTRA_TOO_LARGE',
  'SNAPSHOT_TABLE_BEYOND_EOF',
]);
