import { describe, expect, it } from 'vitest';
import { type FindingCode, FindingCodes } from '../../lib/errors.ts';
import { checkDisk } from '../../lib/jobs/check-disk.ts';
import { AT, COMPRESSED, COPIED, compressedEntry, imageBytes, u64s } from '../support/hostile.ts';
import { AT_V1, compressedV1, type Qcow1Spec, qcow1Bytes } from '../support/hostile-v1.ts';
import { openBytes } from '../support/images.ts';
import { useQemu } from '../support/use-qemu.ts';
import { asQemu, EXIT_CODES, qemuCheck } from './support.ts';
import { DATA, SPECS } from './targets.ts';

const qemu = useQemu();

/** Bytes of an image, with 8-byte fields put over them. */
function edited(bytes: Uint8Array, fields: Readonly<Record<number, bigint>>): Uint8Array {
  const image = Buffer.from(bytes);
  for (const [at, field] of Object.entries(fields)) image.writeBigUInt64BE(field, Number(at));
  return image;
}

const u16 = (...values: number[]) => values.reduce((all, value) => (all << 16n) | BigInt(value), 0n);
const { varied, snapshots, bitmap, extended } = SPECS;
const edit = (spec: Parameters<typeof imageBytes>[0], fields: Readonly<Record<number, bigint>>) =>
  edited(imageBytes(spec), fields);

type Found = Partial<Record<FindingCode, number>>;

/** One fault each, and all that comes of it. Refcounts lie at `AT.refcountBlock`, four of them in 8 bytes. */
const QCOW2: Readonly<Record<string, readonly [image: Uint8Array, found: Found]>> = {
  'a cluster that nothing uses': [
    edit({ ...varied, fileSize: 0xa000 }, { [AT.refcountBlock + 16]: u16(1, 1, 0, 0) }),
    { CLUSTER_LEAKED: 1 },
  ],
  'a refcount of 0': [
    edit(varied, { [AT.refcountBlock + 8]: u16(1, 0, 1, 1) }),
    { REFCOUNT_TOO_LOW: 1, COPIED_FLAG_WRONG: 1 },
  ],
  'a copied flag too few': [edit(varied, { [AT.l2]: BigInt(AT.data) }), { COPIED_FLAG_WRONG: 1 }],
  'a copied flag too few in L1': [edit(varied, { [AT.l1]: BigInt(AT.l2) }), { COPIED_FLAG_WRONG: 1 }],
  'a copied flag on a compressed cluster': [
    edit(varied, { [AT.l2 + 8]: COPIED | compressedEntry(DATA(1), 1000) }),
    { COPIED_ON_COMPRESSED: 1 },
  ],
  'reserved bits in L1': [edit(varied, { [AT.l1]: COPIED | BigInt(AT.l2) | 2n }), { L1E_RESERVED_BITS: 1 }],
  'reserved bits in L2': [edit(varied, { [AT.l2]: COPIED | BigInt(AT.data) | 2n }), { L2E_RESERVED_BITS: 1 }],
  'reserved bits in the refcount table': [
    edit(varied, { [AT.refcountTable]: BigInt(AT.refcountBlock) | 2n }),
    { REFTABLE_RESERVED_BITS: 1, CLUSTER_LEAKED: 1 },
  ],
  'a cluster past the end': [
    edit(varied, { [AT.l2]: COPIED | 0x100000n }),
    { REFERENCE_BEYOND_EOF: 1, CLUSTER_LEAKED: 1, COPIED_FLAG_WRONG: 1 },
  ],
  'a cluster that no file could have': [
    edit(varied, { [AT.l2]: COPIED | (1n << 55n) }),
    { REFERENCE_BEYOND_EOF: 1, CLUSTER_LEAKED: 1, COPIED_FLAG_WRONG: 1 },
  ],
  'an L2 table past the end': [
    edit(varied, { [AT.l1 + 8]: 0x100000n }),
    { REFERENCE_BEYOND_EOF: 1, CLUSTER_LEAKED: 1 },
  ],
  'a cluster between clusters': [
    edit(varied, { [AT.l2 + 16]: BigInt(DATA(1) + 512) }),
    { CLUSTER_UNALIGNED: 1, REFCOUNT_TOO_LOW: 2, COPIED_FLAG_WRONG: 1 },
  ],
  'an L2 table between clusters': [
    edit(varied, { [AT.l1 + 8]: BigInt(DATA(3) + 512) }),
    { L2_UNALIGNED: 1, COPIED_FLAG_WRONG: 1, REFCOUNT_TOO_LOW: 1 },
  ],
  'a refcount block past the end': [edit(varied, { [AT.refcountTable + 8]: 0x100000n }), { REFBLOCK_BEYOND_EOF: 1 }],
  'a refcount block off its cluster': [edit(varied, { [AT.refcountTable + 8]: 0x2200n }), { REFBLOCK_UNALIGNED: 1 }],
  'the only refcount block off its cluster': [
    edit(varied, { [AT.refcountTable]: 0x2200n }),
    { REFBLOCK_UNALIGNED: 1, REFCOUNT_UNREADABLE: 9 },
  ],
  'a refcount block named twice': [
    edit(varied, { [AT.refcountTable + 8]: BigInt(AT.refcountBlock) }),
    { REFBLOCK_SHARED: 1, REFCOUNT_TOO_LOW: 1 },
  ],
  'more references than a bit can count': [
    edit(
      {
        ...varied,
        header: { refcountOrder: 0 },
        patches: { [AT.refcountBlock]: Buffer.from('ff01'.padEnd(64, '0'), 'hex') },
      },
      { [AT.l2 + 16]: COPIED | BigInt(AT.data) },
    ),
    { REFCOUNT_OVERFLOW: 1 },
  ],
  'a snapshot without the size of its disk': [edit(snapshots, { [DATA(2) + 64 + 32]: 0n }), { SNAPSHOT_INCOMPLETE: 1 }],
  'a snapshot’s L1 table off its cluster': [
    edit(snapshots, { [DATA(2)]: BigInt(DATA(3) + 8) }),
    { BAD_SNAPSHOT_L1: 1, CLUSTER_LEAKED: 4 },
  ],
  'subclusters both allocated and zero': [
    edit(extended, { [4 * 16384 + 8]: 0xffffffff_ffffffffn }),
    { INVALID_SUBCLUSTER: 1 },
  ],
  'subclusters of a compressed cluster': [
    edit(extended, { [4 * 16384 + 56]: 1n }),
    { SUBCLUSTERS_ON_COMPRESSED: 1, CLUSTER_LEAKED: 1 },
  ],
  'a bitmap’s table with reserved bits': [
    edit(bitmap, { [DATA(3)]: BigInt(DATA(4)) | 2n }),
    { BITMAPS_UNREADABLE: 1, CLUSTER_LEAKED: 1 },
  ],
  'snapshots past what there may be': [edit(varied, { 60: 0xffffffffn << 32n }), { SNAPSHOTS_UNREADABLE: 1 }],
  'a compressed cluster and snapshots with a data file': [
    edit(
      { ...snapshots, header: { ...snapshots.header, incompatibleFeatures: 4, autoclearFeatures: 0 } },
      { [AT.l2]: COMPRESSED },
    ),
    { SNAPSHOTS_WITH_DATA_FILE: 1, COMPRESSED_IN_DATA_FILE: 2, CLUSTER_LEAKED: 3, COPIED_FLAG_WRONG: 1 },
  ],
};

/** A data cluster on each of an image's own structures, by what the finding calls it. */
const OVERLAPS = [
  ['active L1 table', varied, AT.l1],
  ['active L2 table', varied, AT.l2],
  ['refcount table', varied, AT.refcountTable],
  ['refcount block', varied, AT.refcountBlock],
  ['snapshot table', snapshots, DATA(2)],
  ['inactive L1 table', snapshots, DATA(3)],
  ['inactive L2 table', snapshots, DATA(5)],
  ['bitmap directory', bitmap, DATA(2)],
  ['bitmap table', bitmap, DATA(3)],
  ['bitmap', bitmap, DATA(4)],
] as const;

const V1 = AT_V1;
const second = (entry: bigint, more: Qcow1Spec = {}): Uint8Array =>
  qcow1Bytes({ l2: [BigInt(V1.data), entry], ...more });

const QCOW1: Readonly<Record<string, readonly [image: Uint8Array, found: Found]>> = {
  'nothing where all is well': [qcow1Bytes(), {}],
  'nothing where compressed clusters share a sector': [
    qcow1Bytes({ l2: [compressedV1(V1.data, 100), compressedV1(V1.data + 100, 100)] }),
    {},
  ],
  'a cluster used twice': [second(BigInt(V1.data)), { CLUSTER_SHARED: 1 }],
  'clusters that overlap': [second(BigInt(V1.data + 512)), { CLUSTER_SHARED: 1 }],
  'a stream in a data cluster': [second(compressedV1(V1.data + 4000, 50)), { CLUSTER_SHARED: 1 }],
  'an L2 table used twice': [
    qcow1Bytes({ size: 0x400000n, l1: [BigInt(V1.l2), BigInt(V1.l2)] }),
    { CLUSTER_SHARED: 1 },
  ],
  'data on its own L2 table': [second(BigInt(V1.l2)), { METADATA_OVERLAP: 1 }],
  'data on the L1 table and on an L2 table': [
    second(BigInt(0x200), { header: { l1TableOffset: 0x400 }, patches: { 1024: u64s([BigInt(V1.l2)]) } }),
    { METADATA_OVERLAP: 2 },
  ],
  'a stream on the header': [second(compressedV1(0, 40)), { METADATA_OVERLAP: 1 }],
  // Whose entry then names a cluster there, too.
  'an L2 table on the L1 table': [
    qcow1Bytes({ l1: [BigInt(V1.l1)], fileSize: 0x1000 }),
    { METADATA_OVERLAP: 3, CLUSTER_OFF_SECTOR: 1 },
  ],
  'a cluster past the end': [second(0x100000n), { CLUSTER_BEYOND_EOF: 1 }],
  'a stream cut off': [
    second(compressedV1(V1.data + 4096, 4095), { fileSize: V1.data + 5000 }),
    { CLUSTER_BEYOND_EOF: 1 },
  ],
  'a cluster between sectors': [second(BigInt(V1.data + 4096 + 8)), { CLUSTER_OFF_SECTOR: 1 }],
  'an L2 table past the end': [qcow1Bytes({ l1: [0x100000n] }), { L2_BEYOND_EOF: 1 }],
  'an L2 table cut off': [qcow1Bytes({ fileSize: V1.l2 + 8 }), { L2_BEYOND_EOF: 1, CLUSTER_BEYOND_EOF: 1 }],
  'an L1 table past the end': [qcow1Bytes({ header: { l1TableOffset: 0x100000 } }), { L1_BEYOND_EOF: 1 }],
  'an L1 table cut off inside an entry, and between words': [
    qcow1Bytes({ header: { l1TableOffset: 0x3ffb }, patches: { 16379: Buffer.alloc(5) } }),
    { L1_BEYOND_EOF: 1 },
  ],
};

describe('what check finds in an image', () => {
  it.each(Object.entries(QCOW2))('%s', async (_, [bytes, found]) => {
    const path = await qemu.imageOf(bytes);
    const report = await checkDisk(openBytes(bytes), { filename: path });
    expect(report.unqcow.counts).toEqual(found);
    const theirs = await qemuCheck(path);
    // Without its data file it does not open an image, and a check that it breaks off has no answer.
    if (!theirs.answer) return expect(theirs.code).toBe(1);
    expect(asQemu(report)).toEqual(theirs.answer);
    expect(EXIT_CODES[report.unqcow.verdict]).toBe(theirs.code);
  });

  it.each(OVERLAPS)('data on the %s', async (name, spec, host) => {
    const bytes = edit(spec, { [AT.l2 + 24]: BigInt(host) });
    const report = await checkDisk(openBytes(bytes), { filename: 'disk' });
    expect(report.unqcow.counts).toMatchObject({ METADATA_OVERLAP: 1, REFCOUNT_TOO_LOW: 1 });
    expect(report.unqcow.findings).toContainEqual({
      code: 'METADATA_OVERLAP',
      at: `file[${host}]`,
      message: `cluster ${host / 4096} is used as ${name} and as data cluster`,
    });
  });

  it('a stream on the header', async () => {
    const bytes = edit(varied, { [AT.l2 + 24]: compressedEntry(200, 40) });
    const report = await checkDisk(openBytes(bytes), { filename: 'disk' });
    expect(report.unqcow.counts).toMatchObject({ METADATA_OVERLAP: 1 });
    expect(report.unqcow.findings).toContainEqual({
      code: 'METADATA_OVERLAP',
      at: 'file[0]',
      message: 'cluster 0 is used as header and as compressed cluster',
    });
  });

  it('metadata on which data lies even where the refcounts agree, which qemu-img does not mind', async () => {
    const fields = { [AT.l2 + 24]: BigInt(AT.l1), [AT.refcountBlock]: u16(1, 1, 1, 2) };
    const bytes = edit(varied, fields);
    const report = await checkDisk(openBytes(bytes), { filename: 'disk' });
    expect(report).toMatchObject({ unqcow: { verdict: 'corrupt', 'own-corruptions': 1 } });
    expect(report.corruptions).toBeUndefined();
    expect((await qemuCheck(await qemu.imageOf(bytes))).code).toBe(0);
  });

  it('where each fault is, by the table that names it', async () => {
    const fields = { [AT.l2]: BigInt(AT.data), [AT.l1 + 8]: BigInt(DATA(3)) };
    const report = await checkDisk(openBytes(edit(varied, fields)), { filename: 'disk' });
    expect(report.unqcow.findings.map(({ at }) => at)).toEqual(['l2[0][0]', 'l1[1]']);
  });
});

describe('what check finds in an image of version 1', () => {
  it.each(Object.entries(QCOW1))('%s', async (_, [bytes, found]) => {
    const report = await checkDisk(openBytes(bytes), { filename: 'disk' });
    expect(report.unqcow.counts).toEqual(found);
    const count = Object.values(found).reduce((sum, each) => sum + each, 0);
    expect(report.corruptions ?? 0).toBe(count);
    expect(report.unqcow.verdict).toBe(count === 0 ? 'clean' : 'corrupt');
  });
});

it('shows every code that there is, but those of streams', () => {
  const shown = [...Object.values(QCOW2), ...Object.values(QCOW1)].flatMap(([, found]) => Object.keys(found));
  const streams: FindingCode[] = ['DECOMPRESS_FAILED', 'DECOMPRESS_SHORT'];
  expect(
    Object.keys(FindingCodes)
      .filter((code) => !shown.includes(code))
      .sort(),
  ).toEqual(streams);
});
