import type { Warning } from '../errors.ts';
import { besides } from '../relative-name.ts';
import { type BitmapInfo, type BitmapsInfo, describeBitmaps, readBitmaps } from './bitmaps.ts';
import { l1EntriesNeeded, nameOfFeature } from './checks.ts';
import { lastOf, text } from './extensions.ts';
import { bitsOf, type FeatureKind } from './features.ts';
import { clusterSizeOf } from './geometry.ts';
import type { Image } from './image.ts';
import { describeLuks, type LuksInfo } from './luks.ts';
import { readLuks } from './luks-header.ts';
import type { Page } from './page.ts';
import {
  describeSnapshots,
  type QemuSnapshot,
  readSnapshots,
  type SnapshotInfo,
  type SnapshotsInfo,
} from './snapshots.ts';

/** What `qemu-img info --output=json` says, with its keys and meaning; what it does not show is under `unqcow`. */
export interface ImageInfo {
  readonly snapshots?: readonly QemuSnapshot[];
  readonly 'virtual-size': bigint;
  readonly filename: string;
  readonly 'cluster-size': number;
  readonly format: 'qcow2';
  /** The file's or object's length, in bytes: an object has no holes. */
  readonly 'actual-size': number;
  readonly encrypted?: true;
  readonly 'backing-filename'?: string;
  readonly 'full-backing-filename'?: string;
  readonly 'backing-filename-format'?: string;
  readonly 'format-specific': { readonly type: 'qcow2'; readonly data: FormatSpecific };
  readonly 'dirty-flag': boolean;
  readonly unqcow: UnqcowInfo;
}

type FormatSpecific = Readonly<Record<string, unknown>>;

export interface UnqcowInfo {
  /** Names the version of the bytes that were read. */
  readonly source: string;
  readonly version: number;
  readonly header: Readonly<Record<string, number | bigint>>;
  readonly features: Readonly<Record<'incompatible' | 'compatible' | 'autoclear', readonly string[]>>;
  readonly extensions: readonly {
    readonly type: string;
    readonly name?: string;
    readonly offset: number;
    readonly length: number;
  }[];
  readonly 'unknown-extensions': number;
  readonly l1: { readonly offset: bigint; readonly entries: number; readonly needed: number };
  /** All that the table says of them; a page of it, over HTTP. */
  readonly snapshots: { readonly count: number; readonly next?: number; readonly list: readonly SnapshotInfo[] };
  readonly bitmaps: {
    readonly stale: boolean;
    readonly count: number;
    readonly next?: number;
    readonly list: readonly BitmapInfo[];
  };
  readonly warnings: readonly Warning[];
}

/** Tables that `info` lists. */
export interface InfoTables {
  readonly snapshots: SnapshotsInfo;
  readonly bitmaps: BitmapsInfo;
  readonly luks?: LuksInfo | undefined;
  /** Characters of a data file's name that are shown: it may be as long as a cluster. */
  readonly longestName?: number | undefined;
}

const NO_TABLES: InfoTables = {
  snapshots: { count: 0, qemu: [], records: [] },
  bitmaps: { qemu: [], stale: false, count: 0, bitmaps: [] },
};

/** No file's name is longer than this; where an answer has a limit, no more of one is shown. */
const LONGEST_NAME = 4096;

/**
 * Reads the tables of snapshots and bitmaps and the LUKS header, side by side, and says what is in the image. Costs nothing more than
 * `openImage` where there are none of them.
 */
export async function inspect(image: Image, filename: string, page: Page = {}): Promise<ImageInfo> {
  const luks = image.header.cryptMethod === 2 ? readLuks(image) : undefined;
  const [snapshots, bitmaps, encryption] = await Promise.all([readSnapshots(image), readBitmaps(image), luks]);
  return describe(image, filename, {
    snapshots: describeSnapshots(image, snapshots, page),
    bitmaps: describeBitmaps(bitmaps, page),
    luks: encryption && describeLuks(encryption.header),
    longestName: page.maxBytes && LONGEST_NAME,
  });
}

/** Says what is in an image, from what was read: costs nothing more. */
export function describe(image: Image, filename: string, tables: InfoTables = NO_TABLES): ImageInfo {
  const { header, features, backing, source } = image;
  const { snapshots } = tables;
  return {
    ...(snapshots.qemu.length > 0 ? { snapshots: snapshots.qemu } : {}),
    'virtual-size': header.size - (header.size % 512n),
    filename,
    'cluster-size': clusterSizeOf(header),
    format: 'qcow2',
    'actual-size': source.size,
    ...(header.cryptMethod === 0 ? {} : { encrypted: true }),
    ...(backing === undefined ? {} : backingKeys(filename, backing)),
    'format-specific': { type: 'qcow2', data: formatSpecific(image, tables) },
    'dirty-flag': features.dirty,
    unqcow: unqcowInfo(image, tables),
  };
}

export function backingKeys(filename: string, { name, format }: NonNullable<Image['backing']>) {
  const absolute = name.startsWith('/') || /^[^/]+:/.test(name);
  return {
    'backing-filename': name,
    'full-backing-filename': absolute ? name : besides(filename, name),
    ...(format === undefined ? {} : { 'backing-filename-format': format }),
  };
}

function formatSpecific(
  { header, features, dataFile, extensions }: Image,
  { bitmaps, luks, longestName }: InfoTables,
): FormatSpecific {
  const compressionType = header.compressionType === 1 ? 'zstd' : 'zlib';
  const common = {
    'compression-type': compressionType,
    'refcount-bits': header.refcountOrder > 6 ? 0 : 2 ** header.refcountOrder,
    ...(header.cryptMethod === 1 ? { encrypt: { format: 'aes' } } : {}),
    ...(luks ? { encrypt: luks } : {}),
  };
  if (header.version === 2) return { compat: '0.10', ...common };
  const named = lastOf(extensions, 'data file name');
  return {
    compat: '1.1',
    ...common,
    'lazy-refcounts': features.lazyRefcounts,
    corrupt: features.corrupt,
    'extended-l2': features.extendedL2,
    ...(bitmaps.qemu.length > 0 ? { bitmaps: bitmaps.qemu } : {}),
    // QEMU tells the name also where the image has its data inside.
    ...(named ? { 'data-file': text(named.data).slice(0, longestName) } : {}),
    ...(dataFile === undefined ? {} : { 'data-file-raw': dataFile.raw }),
  };
}

function unqcowInfo(image: Image, { snapshots, bitmaps }: InfoTables): UnqcowInfo {
  const { header, extensions, source, warnings } = image;
  const named = (kind: FeatureKind, bits: bigint) => bitsOf(bits).map((bit) => nameOfFeature(extensions, kind, bit));
  return {
    source: source.id,
    version: header.version,
    header,
    features: {
      incompatible: named('incompatible', header.incompatibleFeatures),
      compatible: named('compatible', header.compatibleFeatures),
      autoclear: named('autoclear', header.autoclearFeatures),
    },
    extensions: extensions.list.map(({ type, name, offset, length }) => ({
      type: `0x${type.toString(16).padStart(8, '0')}`,
      ...(name ? { name } : {}),
      offset,
      length,
    })),
    'unknown-extensions': extensions.unknown,
    l1: { offset: header.l1TableOffset, entries: header.l1Size, needed: l1EntriesNeeded(image) },
    snapshots: { count: snapshots.count, ...nextOf(snapshots), list: snapshots.records },
    bitmaps: { stale: bitmaps.stale, count: bitmaps.count, ...nextOf(bitmaps), list: bitmaps.bitmaps },
    warnings: warnings.list(),
  };
}

const nextOf = ({ next }: { readonly next?: number | undefined }) => (next === undefined ? {} : { next });
