import type { Rows } from '../../support/hostile.ts';
import type { FilesRows } from '../../support/images.ts';
import { BACKING_FILES } from './backing-rows.ts';
import { COMPRESSED_ROWS, ZSTD_ROWS } from './compressed-rows.ts';
import { DATA_FILE_FILES } from './datafile-rows.ts';
import { BACKING_ROWS, BITMAP_ROWS, DATA_FILE_ROWS, ENCRYPTION_ROWS, EXTENSION_ROWS } from './extension-rows.ts';
import { EXTL2_ROWS } from './extl2-rows.ts';
import { CONTROL_ROWS, FEATURE_ROWS, HEADER_ROWS, SIZE_ROWS } from './header-rows.ts';
import { SNAPSHOT_ROWS } from './snapshot-rows.ts';
import { L1_ROWS, L2_ROWS, OTHER_FORMAT_ROWS, REFCOUNT_ROWS } from './table-rows.ts';

/** Every image that is odd or damaged by itself, by what is odd about it. */
export const GROUPS: Readonly<Record<string, Rows>> = {
  'the control': CONTROL_ROWS,
  'a header': HEADER_ROWS,
  'a disk size': SIZE_ROWS,
  'feature bits': FEATURE_ROWS,
  'header extensions': EXTENSION_ROWS,
  encryption: ENCRYPTION_ROWS,
  bitmaps: BITMAP_ROWS,
  'a snapshot table': SNAPSHOT_ROWS,
  'a backing file': BACKING_ROWS,
  'a data file': DATA_FILE_ROWS,
  'an L1 table': L1_ROWS,
  'an L2 table': L2_ROWS,
  subclusters: EXTL2_ROWS,
  'a compressed cluster': COMPRESSED_ROWS,
  'a cluster compressed by zstd': ZSTD_ROWS,
  refcounts: REFCOUNT_ROWS,
  'other formats': OTHER_FORMAT_ROWS,
};

/** The same where the caller lets the image reach the files beside it. */
export const FILE_GROUPS: Readonly<Record<string, FilesRows>> = {
  'a backing file': BACKING_FILES,
  'a data file': DATA_FILE_FILES,
};
