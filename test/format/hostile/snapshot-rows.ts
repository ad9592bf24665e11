import type { ErrorCode, WarningCode } from '../../../lib/errors.ts';
import {
  AT,
  COPIED,
  converts,
  convertsLike,
  type ImageSpec,
  notConverted,
  type Row,
  type Rows,
  u64s,
} from '../../support/hostile.ts';
import { SNAPSHOT_TABLE, snapshotBytes, withSnapshots } from '../../support/hostile-snapshots.ts';

const SOUND: ImageSpec = {};
const BAD_NAME = Buffer.from('\u001b[31m\xff\xfe\n', 'latin1');
/** A byte of data each, so that it shows which of the two was read. */
const L2 = COPIED | BigInt(AT.l2);
const header = (fields: ImageSpec['header'] & object): ImageSpec => ({
  header: { nbSnapshots: 1, snapshotsOffset: SNAPSHOT_TABLE, ...fields },
});

/** The first snapshot instead of the active disk. */
const chosen = (code: ErrorCode, image: ImageSpec): Row => ({ ...notConverted(code, image), snapshot: '1' });
/** It shares the active disk's tables, and so its bytes. */
const chosenLike = (like: ImageSpec, image: ImageSpec, ...warnings: WarningCode[]): Row => ({
  ...convertsLike(like, image, ...warnings),
  snapshot: '1',
});

/** 65,536 entries of nothing but zeros. */
const ZEROS: ImageSpec = {
  ...header({ nbSnapshots: 65_536 }),
  fileSize: SNAPSHOT_TABLE + 65_536 * 40,
};
const SURPLUS = withSnapshots([{ l1Size: 2 }], { l1: [L2, 0x00fffffffffff000n] });
const OWN_L1 = 0x8000;
const OWN_L2 = 0x9000;
/** The snapshot has tables of its own, and this is its first entry. */
const ownTables = (entry: bigint): ImageSpec =>
  withSnapshots([{ l1: OWN_L1 }], {
    fileSize: 0xa000,
    patches: {
      [SNAPSHOT_TABLE]: snapshotBytes({ l1: OWN_L1 }, 0),
      [OWN_L1]: u64s([BigInt(OWN_L2)]),
      [OWN_L2]: u64s([entry]),
    },
  });
const EMPTY: ImageSpec = { size: 0n, l1: [], header: { l1TableOffset: 0 } };

export const SNAPSHOT_ROWS: Rows = {
  snap_sound: converts(withSnapshots([{}])),
  snap_sound_chosen: chosenLike(SOUND, withSnapshots([{}])),
  snap_nb_65537: convertsLike(SOUND, header({ nbSnapshots: 65_537 }), 'SNAPSHOT_TABLE_TOO_LARGE'),
  snap_nb_65537_chosen: chosen('SNAPSHOT_TABLE_TOO_LARGE', header({ nbSnapshots: 65_537 })),
  snap_nb_max: convertsLike(SOUND, header({ nbSnapshots: 0xffffffff }), 'SNAPSHOT_TABLE_TOO_LARGE'),
  snap_unaligned: convertsLike(SOUND, header({ snapshotsOffset: 0x7200 }), 'BAD_SNAPSHOT_TABLE'),
  snap_unaligned_chosen: chosen('BAD_SNAPSHOT_TABLE', header({ snapshotsOffset: 0x7200 })),
  snap_65536_zero: converts(ZEROS, 'DUPLICATE_SNAPSHOT_ID', 'SNAPSHOT_WITHOUT_DISK_SIZE'),
  snap_65536_zero_chosen: chosen('SNAPSHOT_NOT_FOUND', ZEROS),
  snap_extra_huge: convertsLike(SOUND, withSnapshots([{ extraSize: 0xffffffff }]), 'SNAPSHOT_EXTRA_TOO_LARGE'),
  snap_extra_huge_chosen: chosen('SNAPSHOT_EXTRA_TOO_LARGE', withSnapshots([{ extraSize: 0xffffffff }])),
  snap_l1_eof: converts(withSnapshots([{ l1: 0x40000000n }])),
  snap_l1_eof_chosen: chosen('BAD_SNAPSHOT_L1', withSnapshots([{ l1: 0x40000000n }])),
  snap_l1_0: converts(withSnapshots([{ l1Size: 0 }])),
  snap_l1_0_chosen: chosen('BAD_SNAPSHOT_L1', withSnapshots([{ l1Size: 0 }])),
  snap_l1_surplus: converts(SURPLUS, 'SURPLUS_L2_BEYOND_EOF'),
  snap_l1_surplus_chosen: chosenLike(SOUND, SURPLUS, 'SURPLUS_L2_BEYOND_EOF'),
  snap_idlen: converts(withSnapshots([{ idSize: 65_535 }]), 'SNAPSHOT_TABLE_BEYOND_EOF'),
  snap_idlen_chosen: chosen('SNAPSHOT_TABLE_BEYOND_EOF', withSnapshots([{ idSize: 65_535 }])),
  snap_v3_noextra: converts(withSnapshots([{ extra: Buffer.alloc(0) }]), 'SNAPSHOT_WITHOUT_DISK_SIZE'),
  snap_v3_noextra_chosen: chosenLike(SOUND, withSnapshots([{ extra: Buffer.alloc(0) }]), 'SNAPSHOT_WITHOUT_DISK_SIZE'),
  snap_bad_utf8: converts(withSnapshots([{ name: BAD_NAME }])),
  snap_bad_utf8_chosen: chosenLike(SOUND, withSnapshots([{ name: BAD_NAME }])),
  snap_dup: converts(withSnapshots([{ id: '1' }, { id: '1' }]), 'DUPLICATE_SNAPSHOT_ID'),
  snap_size_0: chosenLike(EMPTY, withSnapshots([{ l1: 0, l1Size: 0, extra: u64s([0n, 0n]) }])),
  snap_own_tables: chosenLike({ l2: [BigInt(AT.data)] }, ownTables(BigInt(AT.data))),
  snap_data_on_active_l2: { ...chosen('METADATA_OVERLAP', ownTables(BigInt(AT.l2))), says: /active L2 table/ },
  snap_data_on_active_l1: { ...chosen('METADATA_OVERLAP', ownTables(BigInt(AT.l1))), says: /L1 table/ },
  snap_data_on_own_l2: chosen('METADATA_OVERLAP', ownTables(BigInt(OWN_L2))),
  snap_table_on_data: notConverted(
    'METADATA_OVERLAP',
    { ...withSnapshots([{}]), l2: [COPIED | BigInt(AT.data), COPIED | BigInt(SNAPSHOT_TABLE)] },
    /snapshot table/,
  ),
};
