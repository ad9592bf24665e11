import { assemble } from '../../../lib/chunk/assemble.ts';
import { type Extent, ExtentJoiner } from '../../../lib/format/extent.ts';
import { openImage } from '../../../lib/format/image.ts';
import { inspectAny } from '../../../lib/format/inspect.ts';
import { toJson } from '../../../lib/format/json.ts';
import { decodeL2 } from '../../../lib/format/l2.ts';
import { describeLuks, diskCipherOf, LUKS_HEADER_BYTES, parseLuks } from '../../../lib/format/luks.ts';
import { openAny } from '../../../lib/format/open-any.ts';
import { decodeQcow1L2 } from '../../../lib/format/qcow1/l2.ts';
import { findSnapshot, snapshotDisk } from '../../../lib/format/snapshot-choice.ts';
import { readSnapshots } from '../../../lib/format/snapshots.ts';
import { checkDisk } from '../../../lib/jobs/check-disk.ts';
import { openDisk } from '../../../lib/jobs/open-disk.ts';
import { survey } from '../../../lib/jobs/survey.ts';
import { KiB, MiB } from '../../../lib/units.ts';
import {
  COMPRESSED,
  COPIED,
  compressedEntry,
  deflated,
  EXT,
  type ImageSpec,
  imageBytes,
  u64s,
  ZERO,
} from '../../support/hostile.ts';
import { compressedV1, qcow1Bytes } from '../../support/hostile-v1.ts';
import { openBytes, recorded } from '../../support/images.ts';
import { assert, orRefuse, type Target } from './target.ts';

const TEXT = Buffer.alloc(4096, 'text that compresses well ');
const STREAM = deflated(TEXT);
const DATA = [TEXT, STREAM, TEXT.subarray(1, 2000)];
const DENSE: ImageSpec = {
  size: 0x100000n,
  extensions: [
    { type: EXT.featureNames, data: Buffer.alloc(96, 1) },
    { type: EXT.unknown, data: 'odd' },
  ],
  l2: [COPIED | 0x5000n, compressedEntry(0x6000, STREAM.length), ZERO, 0n, COPIED | ZERO | 0x7000n],
  data: DATA,
};
const IMAGES = [
  imageBytes(DENSE),
  imageBytes({ ...DENSE, version: 2, l2: DENSE.l2?.slice(0, 2) ?? [] }),
  imageBytes({ ...DENSE, clusterBits: 14, header: { incompatibleFeatures: 16n }, l2: [0x14000n | COPIED, 0xff00ffn] }),
  imageBytes({ backing: 'base', extensions: [{ type: EXT.backingFormat, data: 'raw' }] }),
  qcow1Bytes({ l1: [0x1000n], l2: [0x2000n, compressedV1(0x3000, STREAM.length), 0n, 0x4000n], data: DATA }),
];
const PLACE = { kind: 'file', path: 'disk' } as const;

const MAX_REQUESTS = 12;

/** What `info` does with an image: few requests, and an answer that is JSON. */
const image: Target = {
  name: 'image',
  seeds: IMAGES,
  async run(bytes) {
    const source = recorded(openBytes(bytes));
    const info = await orRefuse(async () => inspectAny(await openAny(source), 'disk'));
    assert(source.requests.length <= MAX_REQUESTS, `${source.requests.length} requests are few`);
    if (info) JSON.parse(toJson(info));
  },
};

/** What `convert` does with it. */
const disk: Target = {
  name: 'disk',
  seeds: IMAGES,
  async run(bytes) {
    const passphrases = { '': Buffer.from('sesame') };
    await orRefuse(async () => {
      const opened = await openDisk(openBytes(bytes), PLACE, { outputLimit: MiB, passphrases });
      await survey(opened);
      const made = await assemble(opened, { start: 0, end: opened.size });
      assert(made.length === opened.size, 'the disk has all of its bytes');
    });
  },
};

/** What `check` finds in it. */
const check: Target = {
  name: 'check',
  seeds: IMAGES,
  async run(bytes) {
    const source = recorded(openBytes(bytes));
    const report = await orRefuse(() => checkDisk(source, { filename: 'disk', deep: true, memory: MiB }));
    if (report) JSON.parse(toJson(report));
  },
};

const TABLE_AT = 0x7000;
const SOUND_SNAPSHOT = Buffer.concat([
  u64s([0x3000n]),
  Buffer.from('0000000100020003', 'hex'),
  Buffer.alloc(20),
  Buffer.from('00000010', 'hex'),
  u64s([0n, 0x10000n]),
  Buffer.from('1\u0000abc\u0000\u0000\u0000'),
]);

/** The table of snapshots: its first byte says how many there are. */
const snapshots: Target = {
  name: 'snapshots',
  seeds: [Buffer.concat([Buffer.of(1), SOUND_SNAPSHOT]), Buffer.concat([Buffer.of(2), SOUND_SNAPSHOT, SOUND_SNAPSHOT])],
  async run([count = 1, ...table]) {
    const header = { nbSnapshots: count, snapshotsOffset: TABLE_AT };
    const bytes = imageBytes({
      header,
      fileSize: TABLE_AT + table.length,
      patches: { [TABLE_AT]: Buffer.from(table) },
    });
    const source = recorded(openBytes(bytes));
    const opened = await openImage(source);
    const listed = await readSnapshots(opened);
    JSON.parse(toJson(await inspectAny(opened, 'disk')));
    assert(source.requests.length <= MAX_REQUESTS, 'a small table takes few requests');
    for (let i = 0; i < listed.count; i += 1) {
      await orRefuse(() => snapshotDisk(opened, listed.at(i)));
      await orRefuse(() => findSnapshot(listed, Buffer.from(listed.textAt(i, 'name')).toString()));
    }
  },
};

const SOUND_BITMAP = Buffer.from('000000000000500000000001000000000110000100000000620000000000000', 'hex');

/** The bitmaps' extension, 24 bytes, and the directory. */
const bitmaps: Target = {
  name: 'bitmaps',
  seeds: [
    Buffer.concat([Buffer.from('00000001000000000000000000000020', 'hex'), u64s([BigInt(TABLE_AT)]), SOUND_BITMAP]),
  ],
  async run(input) {
    const directory = input.subarray(24);
    const bytes = imageBytes({
      extensions: [{ type: EXT.bitmaps, data: input.subarray(0, 24) }],
      header: { autoclearFeatures: 1n },
      fileSize: TABLE_AT + directory.length,
      patches: { [TABLE_AT]: directory },
    });
    const info = await orRefuse(async () => inspectAny(await openAny(openBytes(bytes)), 'disk'));
    if (info) JSON.parse(toJson(info));
  },
};

const EXTENSIONS_AT = 112;

/** All that lies between the header and the first cluster's end. */
const extensions: Target = {
  name: 'extensions',
  seeds: [Buffer.concat([Buffer.from('e2792aca00000003', 'hex'), Buffer.from('raw\0\0\0\0\0'), Buffer.alloc(16)])],
  async run(input) {
    const bytes = imageBytes({ patches: { [EXTENSIONS_AT]: input.subarray(0, 4096 - EXTENSIONS_AT) } });
    const info = await orRefuse(async () => inspectAny(await openAny(openBytes(bytes)), 'disk'));
    if (info) assert(toJson(info).length < 64 * KiB, 'what is said of extensions is bounded');
  },
};

const LUKS = Buffer.alloc(LUKS_HEADER_BYTES);
LUKS.set(Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'));
LUKS.write('aes', 8);
LUKS.write('xts-plain64', 40);
LUKS.write('sha256', 72);
LUKS.writeUInt32BE(4096, 104);
LUKS.writeUInt32BE(64, 108);
LUKS.writeUInt32BE(1000, 164);
for (let slot = 0; slot < 8; slot += 1) LUKS.writeUInt32BE(slot === 0 ? 0x00ac71f3 : 0xdead, 208 + slot * 48);

const luks: Target = {
  name: 'luks',
  seeds: [LUKS],
  async run(bytes) {
    const header = await orRefuse(() => parseLuks(bytes));
    if (!header) return;
    JSON.parse(toJson(describeLuks(header)));
    await orRefuse(() => diskCipherOf(header));
  },
};

/** Extents cover a stretch of disk without gaps and overlaps, and name bytes that the file has. */
function assertTiles(extents: readonly Extent[], end: number, fileSize: number): void {
  let at = 0;
  for (const extent of extents) {
    assert(extent.start === at && extent.end > at, `an extent starts where the one before ended, at ${at}`);
    if (extent.kind === 'data') assert(extent.host < fileSize, 'data starts within the file');
    if (extent.kind === 'compressed') {
      for (const { host, length } of extent.clusters)
        assert(host + length <= fileSize, 'a stream lies within the file');
    }
    at = extent.end;
  }
  assert(at === end, `they end at ${end}`);
}

/** An L2 table; its first byte chooses the geometry. */
const l2: Target = {
  name: 'l2',
  seeds: [Buffer.concat([Buffer.of(0), u64s([COPIED | 0x5000n, COMPRESSED | 0x6000n, ZERO, 0n])])],
  async run(bytes) {
    const [kind = 0] = bytes;
    const table = Buffer.concat([bytes.subarray(1)], Math.max(16, Math.ceil((bytes.length - 1) / 16) * 16));
    const extendedL2 = (kind & 1) !== 0;
    const clusterBits = extendedL2 ? 14 + (kind & 6) : 9 + (kind & 6);
    const entryBytes = extendedL2 ? 16 : 8;
    const diskSize = (table.length / entryBytes) * 2 ** clusterBits - (kind & 8 ? 512 : 0);
    const geometry = {
      version: kind & 16 ? (2 as const) : (3 as const),
      clusterBits,
      diskSize,
      extendedL2,
      compression: 'deflate' as const,
      dataFile: (kind & 32) !== 0,
      encrypted: (kind & 64) !== 0,
    };
    const joiner = new ExtentJoiner();
    // Whoever walks a disk reads no entry past its end: 512 bytes less may be a cluster less.
    const view = new DataView(table.buffer, table.byteOffset, Math.ceil(diskSize / 2 ** clusterBits) * entryBytes);
    await orRefuse(() => {
      const context = { geometry, fileSize: MiB, warn: () => undefined };
      decodeL2({ entries: view, l1Index: 0, first: 0, guest: 0 }, context, joiner);
      assertTiles(joiner.finish(), diskSize, MiB);
    });
  },
};

const qcow1L2: Target = {
  name: 'qcow1-l2',
  seeds: [u64s([0x2000n, compressedV1(0x3000, 100), 0n, 0x4000n])],
  async run(bytes) {
    const table = Buffer.concat([bytes], Math.max(8, Math.ceil(bytes.length / 8) * 8));
    const diskSize = (table.length / 8) * 4096;
    const geometry = { version: 1 as const, clusterBits: 12, l2Bits: 9, diskSize, encrypted: (bytes[0] ?? 0) > 127 };
    const view = new DataView(table.buffer, table.byteOffset, table.length);
    const joiner = new ExtentJoiner();
    await orRefuse(() => {
      const context = { geometry, fileSize: MiB, warn: () => undefined };
      decodeQcow1L2({ entries: view, l1Index: 0, first: 0, guest: 0 }, context, joiner);
      assertTiles(joiner.finish(), diskSize, MiB);
    });
  },
};

export const FORMAT_TARGETS: readonly Target[] = [
  image,
  disk,
  check,
  snapshots,
  bitmaps,
  extensions,
  luks,
  l2,
  qcow1L2,
];
