import { execFile } from 'node:child_process';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode, WarningCode } from '../../lib/errors.ts';
import { type Image, openImage } from '../../lib/format/image.ts';
import { toJson } from '../../lib/format/json.ts';
import { findSnapshot, snapshotDisk, snapshotRanges } from '../../lib/format/snapshot-choice.ts';
import { describeSnapshots, readSnapshots } from '../../lib/format/snapshots.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { AT, EXT, type ImageSpec, imageBytes, padded, u64s } from '../support/hostile.ts';
import {
  type SnapshotEntry as Entry,
  snapshotBytes as entryBytes,
  NO_ICOUNT as NONE,
  SNAPSHOT_TABLE as TABLE,
  withSnapshots as withEntries,
} from '../support/hostile-snapshots.ts';
import { openBytes, recorded, refusalOf } from '../support/images.ts';
import { noise } from '../support/qemu.ts';
import { useQemu } from '../support/use-qemu.ts';

const run = promisify(execFile);
const qemu = useQemu();

const openSpec = (spec: ImageSpec) => openImage(memorySource(imageBytes(spec)));
const codesOf = ({ warnings }: Image) => warnings.list().map(({ code }) => code);

/** What `qemu-img info` has under `snapshots`, and what we say in its place: both as JSON has it. */
async function bothLists(bytes: Uint8Array): Promise<{ theirs: unknown; ours: unknown }> {
  const info = await qemu.info(await qemu.imageOf(bytes));
  const image = await openImage(memorySource(bytes));
  const ours = describeSnapshots(image, await readSnapshots(image)).qemu;
  return { theirs: info.snapshots ?? [], ours: JSON.parse(toJson(ours)) };
}

describe('snapshots that qemu-img made', () => {
  const NAMES = ['before', 'Grüße, 世界 🐄', ' a"b\\c\u0001\u007f ', 'x'.repeat(255)];

  it.each([
    ['3', 'compat=1.1'],
    ['2', 'compat=0.10'],
    ['3, 512-byte clusters', 'compat=1.1,cluster_size=512'],
    ['3, extended L2', 'compat=1.1,extended_l2=on'],
  ])('are listed as qemu-img info lists them: version %s', async (version, options) => {
    const path = join(qemu.folder, `made ${version}`);
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, path, '3M']);
    for (const name of NAMES) await run('qemu-img', ['snapshot', '-c', name, path]);
    await run('qemu-img', ['snapshot', '-d', 'before', path]);
    const { ours, theirs } = await bothLists(await readFile(path));
    expect(ours).toHaveLength(3);
    expect(ours).toEqual(theirs);
  });

  it('keep the disk size that they had, where qemu-img has grown the disk since', async () => {
    const path = join(qemu.folder, 'grown');
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', path, '3M']);
    await run('qemu-img', ['snapshot', '-c', 'small', path]);
    await run('qemu-img', ['resize', '-q', path, '50M']);
    await run('qemu-img', ['snapshot', '-c', 'large', path]);
    const image = await openImage(memorySource(await readFile(path)));
    const table = await readSnapshots(image);
    const disks = ['small', 'large'].map((name) => snapshotDisk(image, findSnapshot(table, name)));
    expect(disks.map(({ geometry, l1 }) => [geometry.diskSize, l1.needed])).toEqual([
      [3 * MiB, 2],
      [50 * MiB, 25],
    ]);
    expect(codesOf(image)).toEqual([]);
  });

  it.each([
    ['grown', '9M'],
    ['as large', '5M'],
    ['shrunk', '2M'],
  ])('have the bytes that qemu-img snapshot -a brings back, on a disk that is now %s', async (title, size) => {
    const path = join(qemu.folder, `reverted ${title}`);
    const io = (command: string) => run('qemu-io', ['-f', 'qcow2', '-c', command, path]);
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', path, '5M']);
    await io('write -P 0x11 1M 3M');
    await run('qemu-img', ['snapshot', '-c', 'then', path]);
    await io('write -P 0x22 1536k 64k');
    await run('qemu-img', ['resize', '-q', '--shrink', path, size]);
    await io('write -P 0x33 1900k 64k');
    const image = await openImage(memorySource(await readFile(path)));
    const ours = await diskBytes(image, snapshotDisk(image, findSnapshot(await readSnapshots(image), 'then')));
    await copyFile(path, `${path} then`);
    await run('qemu-img', ['snapshot', '-a', 'then', `${path} then`]);
    expect(ours.equals(await readFile(await qemu.raw(`${path} then`)))).toBe(true);
  });
});

/** Reads a disk of plain clusters in the plainest way. */
async function diskBytes(image: Image, { geometry, l1 }: ReturnType<typeof snapshotDisk>): Promise<Buffer> {
  const file = Buffer.from(await image.source.read({ start: 0, end: image.source.size }));
  const clusterSize = 2 ** image.header.clusterBits;
  const disk = Buffer.alloc(geometry.diskSize);
  const pointer = (at: number) => Number(file.readBigUInt64BE(at) & 0x00fffffffffffe00n);
  for (let i = 0; i * clusterSize < disk.length; i += 1) {
    const index = Math.floor(i / (clusterSize / 8));
    expect(index).toBeLessThan(l1.needed);
    const table = pointer(l1.offset + index * 8);
    const host = table && pointer(table + (i % (clusterSize / 8)) * 8);
    if (host !== 0) file.copy(disk, i * clusterSize, host, host + clusterSize);
  }
  return disk;
}

describe('what a snapshot table says', () => {
  const LATER = Buffer.concat([u64s([2n ** 40n, 0x8000n, 77n]), Buffer.from('later')]);

  it('is read field by field', async () => {
    const image = await openSpec(
      withEntries([{}, { l1: 0x3000n, l1Size: 3, id: 'é', name: 'n', vmStateSize: 5, extra: LATER }]),
    );
    const table = await readSnapshots(image);
    expect(describeSnapshots(image, table).records[1]).toEqual({
      index: 1,
      id: 'é',
      name: 'n',
      'disk-size': 0x8000n,
      l1: { offset: 0x3000n, entries: 3 },
      'date-sec': 1_700_000_001,
      'date-nsec': 987_654_321,
      'vm-clock-nsec': 5_000_000_007n,
      'vm-state-size': 2n ** 40n,
      'vm-state-size-32': 5,
      icount: 77n,
      'extra-data-size': 29,
      'unknown-extra-data': Buffer.from('later').toString('hex'),
    });
    expect(table.range).toEqual({ start: TABLE, end: image.fileSize });
  });

  const LISTED: Readonly<Record<string, readonly Entry[]>> = {
    'no extra data': [{ extra: Buffer.alloc(0), vmStateSize: 0xffffffff }],
    'extra data that is cut off in each field': [7, 8, 15, 16, 23, 24, 25, 1024].map((length, i) => ({
      id: `${i}`,
      vmStateSize: 9,
      extra: padded(u64s([2n ** 33n, 0x200n, 5n]), 1024).subarray(0, length),
    })),
    'VM state and instructions past 2^63': [{ extra: u64s([NONE, 0x10000n, 2n ** 63n]) }],
    'a clock of all ones': [{ clock: NONE }],
    'ids and names at their longest, and empty': [
      { id: 'i'.repeat(65_535), name: 'n'.repeat(65_535) },
      { id: '', name: '' },
    ],
    'an id of 127 and 128 bytes, a name of 255 and 256': [
      { id: 'i'.repeat(127), name: 'n'.repeat(255) },
      { id: 'j'.repeat(128), name: 'n'.repeat(256) },
      { id: `${'k'.repeat(126)}é`, name: `${'n'.repeat(253)}世` },
    ],
    'names with NULs': [{ id: '1\x002', name: 'a\0b' }, { name: '\0' }],
    'names that are not UTF-8': [
      'ff fe 61 80 c3',
      'c3 28 e2 82 28 f0 9f 90',
      'c0 80 c0 af e0 80 80 c1 bf',
      'ed a0 80 ed bf bf ef bf be ef b7 90 ef bf bf',
      'f4 8f bf bd f4 90 80 80 f7 bf bf bf f8 88 80 80 80 fc 84 80 80 80 80',
      'ef bb bf 41 00 42',
      '01 02 1b 5b 32 4a 7f c2 85 e2 80 a8 0a',
    ].map((hex) => ({ name: Buffer.from(hex.replaceAll(' ', ''), 'hex') })),
  };
  it.each(Object.entries(LISTED))('is listed as qemu-img info lists it: %s', async (_, entries) => {
    const { ours, theirs } = await bothLists(imageBytes(withEntries(entries)));
    expect(ours).toHaveLength(entries.length);
    expect(ours).toEqual(theirs);
  });

  it('is printed whole, in hexadecimal, where it is not text', async () => {
    const name = Buffer.from('61ff00621b', 'hex');
    const image = await openSpec(withEntries([{ name }]));
    const [record] = describeSnapshots(image, await readSnapshots(image)).records;
    expect(record).toMatchObject({ name: 'a\ufffd', 'name-bytes': '61ff00621b' });
    expect(record).not.toHaveProperty('id-bytes');
  });

  it('is listed as qemu-img info lists it, whatever the bytes of a name', async () => {
    const byte = fc.oneof(fc.constantFrom(0xc0, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf8, 0xfc, 0x80, 0xbf), fc.nat(255));
    const bytes = fc.array(byte, { maxLength: 12 }).map((each) => Uint8Array.from(each));
    const [names] = fc.sample(fc.array(bytes, { minLength: 3000, maxLength: 3000, size: 'max' }), {
      numRuns: 1,
      seed: 1,
    });
    const { ours, theirs } = await bothLists(imageBytes(withEntries((names ?? []).map((name) => ({ name })))));
    expect(ours).toEqual(theirs);
  });

  it('is paged: the slice that is asked for, and how many there are', async () => {
    const image = await openSpec(withEntries(Array.from({ length: 10 }, () => ({}))));
    const table = await readSnapshots(image);
    const pageOf = (offset: number, limit?: number) => {
      const {
        count,
        qemu: list,
        records,
      } = describeSnapshots(image, table, limit === undefined ? { offset } : { offset, limit });
      expect(list.map(({ id }) => id)).toEqual(records.map(({ id }) => id));
      return [count, ...list.map(({ id }) => id)];
    };
    expect(pageOf(3, 2)).toEqual([10, '4', '5']);
    expect(pageOf(8, 5)).toEqual([10, '9', '10']);
    expect(pageOf(9)).toEqual([10, '10']);
    expect(pageOf(10, 1)).toEqual([10]);
    expect(pageOf(11)).toEqual([10]);
    expect(pageOf(0, 0)).toEqual([10]);
  });
});

describe('choosing a snapshot', () => {
  const CHOICES = [
    { id: '2', name: '1' },
    { id: '1', name: '2' },
    { id: '3', name: 'a,b' },
    { id: '', name: 'snapshot.old' },
    { id: '5', name: 'a,b' },
    { id: 'é', name: 'x\0y' },
  ];
  const chosen = async (wanted: string, entries: readonly Entry[] = CHOICES) =>
    findSnapshot(await readSnapshots(await openSpec(withEntries(entries))), wanted).index;

  it.each([
    ['1', 1],
    ['2', 0],
    ['a,b', 2],
    ['', 3],
    ['snapshot.old', 3],
    ['é', 5],
    ['x', 5],
    ['snapshot.id=1', 1],
    ['snapshot.name=1', 0],
    ['snapshot.name=a,,b', 2],
    ['snapshot.id=5,snapshot.name=a,,b', 4],
    ['snapshot.name=a,,b,snapshot.id=5', 4],
    ['snapshot.id=', 3],
    ['snapshot.id=7,snapshot.id=1', 1],
    ['snapshot.id=1,', 1],
    ['snapshot.id=1,,,snapshot.id=2', 0],
  ])('by %j finds the one that is meant', async (wanted, index) => {
    expect(await chosen(wanted)).toBe(index);
  });

  it.each([
    ['nope', 'SNAPSHOT_NOT_FOUND'],
    ['x\0y', 'SNAPSHOT_NOT_FOUND'],
    ['snapshot.name=5', 'SNAPSHOT_NOT_FOUND'],
    ['snapshot.id=a,,b', 'SNAPSHOT_NOT_FOUND'],
    ['snapshot.id=1,snapshot.name=1', 'SNAPSHOT_NOT_FOUND'],
    ['snapshot.id=1,,2', 'SNAPSHOT_NOT_FOUND'],
    ['snapshot.id=1,snapshot.nam=2', 'BAD_REQUEST'],
    ['snapshot.id=1,id=1', 'BAD_REQUEST'],
    ['snapshot.name=a,b', 'BAD_REQUEST'],
  ])('by %j is refused: %s', async (wanted, code) => {
    expect((await refusalOf(chosen(wanted)))?.code).toBe(code);
    expect((await refusalOf(chosen(wanted, [])))?.code).toBe(code);
  });

  it('does as qemu-img convert -l, where that has one to choose', async () => {
    const path = join(qemu.folder, 'choices');
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '64k']);
    for (const [i, name] of ['2', '1', 'c,d', 'snapshot.old'].entries()) {
      await run('qemu-io', ['-f', 'qcow2', '-c', `write -P ${i + 1} 0 64k`, path]);
      await run('qemu-img', ['snapshot', '-c', name, path]);
    }
    const table = await readSnapshots(await openImage(memorySource(await readFile(path))));
    for (const wanted of [
      '1',
      '2',
      'c,d',
      'snapshot.id=1',
      'snapshot.name=1',
      'snapshot.name=c,,d,snapshot.id=3',
      'snapshot.id=9,snapshot.id=4',
    ]) {
      await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', '-l', wanted, path, `${path}.raw`]);
      expect((await readFile(`${path}.raw`))[0], wanted).toBe(findSnapshot(table, wanted).index + 1);
    }
  });

  it('takes the first of those that share an id, and warns of them', async () => {
    const image = await openSpec(withEntries([{ id: '1' }, { id: '1' }, { id: '1\0x' }, { id: '2' }]));
    expect(findSnapshot(await readSnapshots(image), '1').index).toBe(0);
    expect(image.warnings.list()).toEqual([
      {
        code: 'DUPLICATE_SNAPSHOT_ID',
        message: 'snapshot 1 has the id of an earlier one (and 1 more)',
        at: 'snapshots[1].id',
      },
    ]);
  });
});

describe('a damaged snapshot table', () => {
  interface Damage {
    readonly image: ImageSpec;
    readonly code: ErrorCode & WarningCode;
    readonly reads: number;
  }
  const one = withEntries([{}]);
  const damage = (code: Damage['code'], reads: number, image: ImageSpec): Damage => ({ code, reads, image });
  const header = (fields: ImageSpec['header'] & object): ImageSpec => withEntries([{}], { header: fields });

  const ROWS: Readonly<Record<string, Damage>> = {
    snap_nb_65537: damage('SNAPSHOT_TABLE_TOO_LARGE', 0, header({ nbSnapshots: 65_537 })),
    snap_nb_max: damage('SNAPSHOT_TABLE_TOO_LARGE', 0, header({ nbSnapshots: 0xffffffff })),
    snap_unaligned: damage('BAD_SNAPSHOT_TABLE', 0, header({ snapshotsOffset: TABLE + 8 })),
    snap_past_2_63: damage('BAD_SNAPSHOT_TABLE', 0, header({ snapshotsOffset: 2n ** 63n })),
    snap_at_2_63: damage('BAD_SNAPSHOT_TABLE', 0, header({ snapshotsOffset: 2n ** 64n - 4096n })),
    snap_far_eof: damage('SNAPSHOT_TABLE_BEYOND_EOF', 0, header({ snapshotsOffset: 2n ** 62n })),
    snap_at_eof: damage('SNAPSHOT_TABLE_BEYOND_EOF', 0, { fileSize: TABLE, header: one.header ?? {} }),
    snap_one_byte_short: damage('SNAPSHOT_TABLE_BEYOND_EOF', 1, {
      ...one,
      fileSize: TABLE + 40 + 24 + '1'.length + 'snapshot 1'.length - 1,
      patches: { [TABLE]: entryBytes({}, 0).subarray(0, 74) },
    }),
    snap_65536_of_1: damage('SNAPSHOT_TABLE_BEYOND_EOF', 0, header({ nbSnapshots: 65_536 })),
    snap_2_of_1: damage(
      'SNAPSHOT_TABLE_BEYOND_EOF',
      1,
      withEntries([{}], { header: { nbSnapshots: 2 }, fileSize: TABLE + 100 }),
    ),
    snap_idlen: damage('SNAPSHOT_TABLE_BEYOND_EOF', 1, withEntries([{ idSize: 65_535 }])),
    snap_extra_huge: damage('SNAPSHOT_EXTRA_TOO_LARGE', 1, withEntries([{ extraSize: 0xffffffff }])),
    snap_extra_1025: damage('SNAPSHOT_EXTRA_TOO_LARGE', 1, withEntries([{ extra: Buffer.alloc(1025) }])),
    snap_extra_in_second: damage('SNAPSHOT_EXTRA_TOO_LARGE', 1, withEntries([{}, { extraSize: 1025 }])),
  };

  it.each(Object.entries(ROWS))('has no snapshots, and warns: %s', async (_, { image: spec, code, reads }) => {
    const source = recorded(memorySource(imageBytes(spec)));
    const image = await openImage(source);
    const opened = source.requests.length;
    const table = await readSnapshots(image);
    expect(codesOf(image)).toEqual([code]);
    expect(describeSnapshots(image, table)).toEqual({ count: 0, qemu: [], records: [] });
    expect(() => findSnapshot(table, '1')).toThrow(expect.objectContaining({ code }));
    expect(source.requests.length - opened).toBe(reads);
    expect(snapshotRanges(image, table).every(({ ranges }) => ranges.length === 0)).toBe(true);
    await readSnapshots(image);
    expect(image.warnings.list()[0]?.message).not.toMatch(/more\)/);
  });

  it('is one that qemu-img refuses or fills with zeros', async () => {
    for (const [name, { image, code }] of Object.entries(ROWS)) {
      const info = await qemu.info(await qemu.imageOf(imageBytes(image))).then(
        () => 'reads',
        () => 'refuses',
      );
      expect([name, info]).toEqual([name, code === 'SNAPSHOT_TABLE_BEYOND_EOF' ? 'reads' : 'refuses']);
    }
  });

  it('counts the bytes of the last entry only: its padding need not be there', async () => {
    const bytes = imageBytes(one).subarray(0, TABLE + 75);
    const image = await openImage(memorySource(bytes));
    expect((await readSnapshots(image)).count).toBe(1);
    const { ours, theirs } = await bothLists(bytes);
    expect(ours).toEqual(theirs);
  });

  it('passes on what is wrong with the source', async () => {
    const image = await openSpec(one);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(readSnapshots(image, { signal })).rejects.toThrow('enough');
    expect(codesOf(image)).toEqual([]);
  });
});

describe('the disk of a snapshot', () => {
  const diskOf = async (entry: Entry, spec: ImageSpec = {}) => {
    const image = await openSpec(withEntries([entry], spec));
    const table = await readSnapshots(image);
    return { image, disk: () => snapshotDisk(image, findSnapshot(table, '1')) };
  };
  const sized = (size: bigint) => u64s([0n, size]);

  it('is found by its size and L1 table, as far as the disk needs it', async () => {
    const { image, disk } = await diskOf({ l1Size: 512, extra: sized(0x3000n) });
    expect(disk()).toEqual({ geometry: { ...image.geometry, diskSize: 0x3000 }, l1: { offset: AT.l1, needed: 1 } });
    expect(codesOf(image)).toEqual([]);
  });

  it.each([
    [
      'the size of the image where it has none',
      {},
      { extra: Buffer.alloc(0) },
      0x10000,
      1,
      ['SNAPSHOT_WITHOUT_DISK_SIZE'],
    ],
    [
      'the size of the image where its own is cut off',
      {},
      { extra: Buffer.alloc(15) },
      0x10000,
      1,
      ['SNAPSHOT_WITHOUT_DISK_SIZE'],
    ],
    [
      'that size rounded down, too',
      { size: 0x10001n },
      { extra: Buffer.alloc(8) },
      0x10000,
      1,
      ['SIZE_NOT_512', 'SNAPSHOT_WITHOUT_DISK_SIZE'],
    ],
    ['its size rounded down to 512', {}, { extra: sized(1025n) }, 1024, 1, ['SIZE_NOT_512']],
    ['no bytes, where it was smaller than 512', {}, { extra: sized(511n), l1: 0, l1Size: 0 }, 0, 0, ['SIZE_NOT_512']],
    ['no bytes and no L1 table', {}, { extra: sized(0n), l1: 0, l1Size: 0 }, 0, 0, []],
    [
      'no bytes and an L1 table that it does not need',
      {},
      { extra: sized(0n), l1: 2n ** 40n },
      0,
      0,
      ['L1_SURPLUS_BEYOND_EOF'],
    ],
    [
      'surplus L1 entries past the end of the file',
      {},
      { l1: AT.data + 0x1000, l1Size: 4_194_304 },
      0x10000,
      1,
      ['L1_SURPLUS_BEYOND_EOF'],
    ],
    [
      'VM state past its end, on a disk that has grown over it',
      { size: 4n << 20n, l1: [0n, 0n] },
      { l1Size: 2, extra: u64s([4096n, 2n << 20n]) },
      2 * MiB,
      1,
      [],
    ],
    ['one L1 entry just full', {}, { extra: sized(2n << 20n) }, 2 * MiB, 1, []],
    ['the last 8 bytes of the file for its L1 table', { fileSize: 0xa008 }, { l1: 0xa000, l1Size: 1 }, 0x10000, 1, []],
  ] as const)('may have %s', async (_, spec, entry, size, entries, codes) => {
    const { image, disk } = await diskOf(entry, spec);
    expect([disk().geometry.diskSize, disk().l1.needed]).toEqual([size, entries]);
    expect(codesOf(image)).toEqual(codes);
  });

  it.each([
    ['snap_l1_eof', { l1: 0x40000000n }, {}],
    ['snap_l1_cut_off', { l1: 0xa000 }, { fileSize: 0xa007 }],
    ['snap_l1_0', { l1Size: 0 }, {}],
    ['snap_l1_small', { extra: sized((2n << 20n) + 512n) }, {}],
    ['snap_disk_size_max', { extra: sized(NONE) }, {}],
    ['snap_disk_size_2_63', { extra: sized(2n ** 63n), l1Size: 4_194_304 }, {}],
    ['snap_l1_33MiB', { l1Size: 4_194_305 }, {}],
    ['snap_l1_size_max', { l1Size: 0xffffffff }, {}],
    ['snap_l1_unaligned', { l1: AT.l1 + 512 }, {}],
    ['snap_l1_at_0', { l1: 0 }, {}],
    ['snap_l1_2_63', { l1: 2n ** 63n }, {}],
    ['snap_l1_2_64', { l1: 2n ** 64n - 4096n }, {}],
    ['df_snap', {}, { header: { incompatibleFeatures: 4 }, extensions: [{ type: EXT.dataFile, data: 'disk.raw' }] }],
  ] as const)('is refused: %s', async (_, entry, spec) => {
    const { image, disk } = await diskOf(entry, spec);
    expect(disk).toThrow(
      expect.objectContaining({ code: 'BAD_SNAPSHOT_L1', at: expect.stringMatching(/^snapshots\[0\]\.l1_/) }),
    );
    expect(codesOf(image)).toEqual('header' in spec ? ['BAD_SNAPSHOT_TABLE'] : []);
  });

  it('of an image with a data file is in our list and not in that of qemu-img', async () => {
    const path = join(qemu.folder, 'with data file');
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', `cluster_size=4k,data_file=${path}.raw`, path, '64k']);
    const file = Buffer.from(await readFile(path));
    const at = Math.ceil(file.length / 4096) * 4096;
    const bytes = Buffer.concat([file, Buffer.alloc(at - file.length), entryBytes({}, 0)]);
    bytes.writeUInt32BE(1, 60);
    bytes.writeBigUInt64BE(BigInt(at), 64);
    const { ours, theirs } = await bothLists(bytes);
    expect([ours, theirs]).toEqual([[], []]);
    const image = await openImage(memorySource(bytes));
    expect(describeSnapshots(image, await readSnapshots(image)).records).toHaveLength(1);
  });

  it('needs L1 entries by the entries’ width: half as much disk each, in an image with extended L2', async () => {
    const spec: ImageSpec = { clusterBits: 14, header: { incompatibleFeatures: 16 } };
    const table = 7 << 14;
    const entry = { l1: 3 << 14, l1Size: 2, extra: sized(32n << 20n) };
    const entries = async (extended: boolean) => {
      const header = { nbSnapshots: 1, snapshotsOffset: table, incompatibleFeatures: extended ? 16 : 0 };
      const image = await openSpec({
        ...spec,
        header,
        fileSize: table + 4096,
        patches: { [table]: entryBytes(entry, 0) },
      });
      return snapshotDisk(image, findSnapshot(await readSnapshots(image), '1')).l1.needed;
    };
    expect([await entries(false), await entries(true)]).toEqual([1, 2]);
  });
});

describe('where snapshots lie in the file', () => {
  it('is told by class, ascending and joined, without what cannot be sound', async () => {
    const entries = [
      { l1: AT.l2, l1Size: 2 },
      { l1: AT.l1, l1Size: 512 },
      { l1: AT.l1, l1Size: 1 },
      { l1: AT.data, l1Size: 1000 },
      { l1: 0, l1Size: 1 },
      { l1: AT.l1 + 512, l1Size: 1 },
      { l1: AT.l1, l1Size: 0 },
      { l1: 2n ** 62n, l1Size: 1 },
      { l1: AT.l1, l1Size: 0xffffffff },
      { l1: TABLE, l1Size: 4_194_304 },
    ];
    const image = await openSpec(withEntries(entries));
    expect(snapshotRanges(image, await readSnapshots(image))).toEqual([
      { name: 'snapshot table', ranges: [{ start: TABLE, end: image.fileSize - 3 }] },
      {
        name: 'inactive L1 table',
        ranges: [
          { start: AT.l1, end: AT.l2 + 16 },
          { start: AT.data, end: AT.data + 8000 },
          { start: TABLE, end: image.fileSize },
        ],
      },
    ]);
  });
});

describe('reading a snapshot table', () => {
  /** What reading the table asked for, and how many entries it found. */
  async function costOf(spec: ImageSpec) {
    const source = recorded(memorySource(imageBytes(spec)));
    const image = await openImage(source);
    const opened = source.requests.length;
    const table = await readSnapshots(image);
    return { requests: source.requests.slice(opened), image, table };
  }

  it('costs nothing where there are no snapshots', async () => {
    expect((await costOf({})).requests).toEqual([]);
  });

  it('costs one read of 64 KiB', async () => {
    const { requests } = await costOf(withEntries([{}], { fileSize: MiB }));
    expect(requests).toEqual([{ start: TABLE, end: TABLE + 64 * KiB }]);
  });

  it('costs one read to the end of the file where that comes first', async () => {
    const { requests, image } = await costOf(withEntries([{}, {}]));
    expect(requests).toEqual([{ start: TABLE, end: image.fileSize }]);
  });

  it('doubles what it has where that is not enough, and reads nothing twice', async () => {
    const long = Array.from({ length: 4 }, () => ({ id: 'i'.repeat(40_000), name: 'n'.repeat(30_000) }));
    const { requests, table, image } = await costOf(withEntries(long));
    expect(table.count).toBe(4);
    expect(requests.map(({ start, end }) => [start - TABLE, end - TABLE])).toEqual([
      [0, 64 * KiB],
      [64 * KiB, 128 * KiB],
      [128 * KiB, 256 * KiB],
      [256 * KiB, image.fileSize - TABLE],
    ]);
    expect(describeSnapshots(image, table).records.map(({ name }) => name.length)).toEqual([
      30_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('lists 65,536 snapshots of zeros by one read, and a page of them at once', async () => {
    const header = { nbSnapshots: 65_536, snapshotsOffset: TABLE };
    const { requests, table, image } = await costOf({ header, fileSize: TABLE + 65_536 * 40 });
    expect(requests).toEqual([{ start: TABLE, end: TABLE + 65_536 * 40 }]);
    expect(codesOf(image)).toEqual(['DUPLICATE_SNAPSHOT_ID', 'SNAPSHOT_WITHOUT_DISK_SIZE']);
    const page = describeSnapshots(image, table, { offset: 65_500, limit: 100 });
    expect([page.count, page.qemu.length, page.records.at(-1)?.index]).toEqual([65_536, 36, 65_535]);
    expect(toJson(page).length).toBeLessThan(32 * KiB);
  });

  it('finds the last of 65,536 in little time', async () => {
    const entries = Array.from({ length: 65_536 }, (_, i) => ({ id: `${i}`, name: `name ${i}` }));
    const { requests, table } = await costOf(withEntries(entries));
    expect(requests.length).toBeLessThanOrEqual(3);
    const started = performance.now();
    expect(findSnapshot(table, 'name 65535').index).toBe(65_535);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('reads 64 MiB of table and no more, as qemu-img does', async () => {
    const long = { extra: Buffer.alloc(1024), id: 'i'.repeat(65_535), name: 'n'.repeat(65_535) };
    const entries = Array.from({ length: 509 }, () => long); // of 132,136 bytes: 507 of them fit
    const { requests, table, image } = await costOf(withEntries(entries));
    expect(table.fault).toMatchObject({ code: 'SNAPSHOT_TABLE_TOO_LARGE', at: 'snapshots[507]' });
    expect(codesOf(image)).toEqual(['SNAPSHOT_TABLE_TOO_LARGE']);
    expect(requests).toHaveLength(11);
    expect(requests.at(-1)?.end).toBe(TABLE + 64 * MiB);
    const fewer = withEntries(entries.slice(0, 507));
    expect((await costOf(fewer)).table.count).toBe(507);
    await expect(qemu.info(await qemu.imageOf(imageBytes(withEntries(entries))))).rejects.toThrow(
      'Snapshot table is too big',
    );
    expect((await qemu.info(await qemu.imageOf(imageBytes(fewer)))).snapshots).toHaveLength(507);
  });
});

describe('a snapshot table whose bytes are anything', () => {
  const SOUND = withEntries([{}, { id: 'é', extra: Buffer.alloc(0) }, { extra: Buffer.alloc(40) }, {}]);

  it('is listed, or warned of; a snapshot is found, or refused by a code', async () => {
    const value = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
      fc.constantFrom(Uint8Array.of(0xff), Uint8Array.of(0x80), Uint8Array.of(0), new Uint8Array(8).fill(0xff)),
    );
    const place = fc.oneof(
      fc.integer({ min: 60, max: 71 }),
      fc.integer({ min: 28, max: 31 }),
      fc.integer({ min: TABLE, max: TABLE + 310 }),
    );
    const edits = fc.array(fc.tuple(place, value), { minLength: 1, maxLength: 4 });
    const wanted = fc.oneof(
      fc.constantFrom('1', '3', 'é', ''),
      fc.string(),
      fc.string().map((each) => `snapshot.id=${each}`),
    );
    let listed = 0;
    let damaged = 0;
    await fc.assert(
      fc.asyncProperty(edits, fc.nat(400), wanted, async (patches, cut, choice) => {
        const bytes = Buffer.concat([imageBytes(SOUND), Buffer.alloc(16)]);
        for (const [at, patch] of patches) Buffer.from(patch).copy(bytes, at);
        const source = recorded(openBytes(cut > 40 ? bytes : bytes.subarray(0, bytes.length - cut)));
        if (await refusalOf(openImage(source))) return;
        const image = await openImage(source);
        const table = await readSnapshots(image);
        const info = describeSnapshots(image, table);
        JSON.parse(toJson(info));
        snapshotRanges(image, table);
        expect(table.fault === undefined).toBe(table.count === image.header.nbSnapshots);
        if (table.fault) expect(codesOf(image)).toContain(table.fault.code);
        if (table.fault) damaged += 1;
        else listed += 1;
        for (let i = 0; i < Math.min(table.count, 10); i += 1) {
          await refusalOf((async () => snapshotDisk(image, table.at(i)))());
        }
        await refusalOf((async () => findSnapshot(table, choice))());
        for (const { start, end } of source.requests) expect(end - start).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(listed, damaged)).toBeGreaterThan(200);
  });

  it('is listed as qemu-img info lists it, where it is listed', async () => {
    const edit = fc.tuple(fc.nat(300), fc.uint8Array({ minLength: 1, maxLength: 3 }));
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (patches) => {
        const bytes = Buffer.from(imageBytes(SOUND));
        for (const [at, patch] of patches) Buffer.from(patch).copy(bytes, TABLE + at);
        const image = await openImage(memorySource(bytes));
        const table = await readSnapshots(image);
        if (table.fault) return;
        const { ours, theirs } = await bothLists(bytes);
        expect(ours).toEqual(theirs);
        compared += 1;
      }),
      { numRuns: 150 },
    );
    expect(compared).toBeGreaterThan(50);
  });

  it('is random as a whole', async () => {
    const bytes = Buffer.concat([imageBytes({ fileSize: TABLE, header: SOUND.header ?? {} }), noise(4096)]);
    const image = await openImage(memorySource(bytes));
    expect((await readSnapshots(image)).fault?.code).toBe('SNAPSHOT_EXTRA_TOO_LARGE');
  });
});
