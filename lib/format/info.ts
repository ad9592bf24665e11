import { dirname, join } from 'node:path';
import type { Warning } from '../errors.ts';
import { l1EntriesNeeded, nameOfFeature } from './checks.ts';
import { AUTOCLEAR, bitsOf, COMPATIBLE } from './features.ts';
import { clusterSizeOf } from './geometry.ts';
import type { Image } from './image.ts';

/** What `qemu-img info --output=json` says, with its keys and meaning; what it does not show is under `unqcow`. */
export interface ImageInfo {
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
  readonly warnings: readonly Warning[];
}

/** Says what is in an image, from what `openImage` read: costs nothing more. */
export function describe(image: Image, filename: string): ImageInfo {
  const { header, features, backing, source } = image;
  return {
    'virtual-size': header.size - (header.size % 512n),
    filename,
    'cluster-size': clusterSizeOf(header),
    format: 'qcow2',
    'actual-size': source.size,
    ...(header.cryptMethod === 0 ? {} : { encrypted: true }),
    ...(backing === undefined ? {} : backingKeys(filename, backing)),
    'format-specific': { type: 'qcow2', data: formatSpecific(image) },
    'dirty-flag': features.dirty,
    unqcow: unqcowInfo(image),
  };
}

function backingKeys(filename: string, { name, format }: NonNullable<Image['backing']>) {
  const absolute = name.startsWith('/') || /^[^/]+:/.test(name);
  return {
    'backing-filename': name,
    'full-backing-filename': absolute ? name : besides(filename, name),
    ...(format === undefined ? {} : { 'backing-filename-format': format }),
  };
}

function besides(filename: string, name: string): string {
  const bucket = /^s3:\/\/[^/]+\//.exec(filename)?.[0] ?? '';
  const folder = dirname(filename.slice(bucket.length));
  return bucket + (folder === '.' ? name : join(folder, name));
}

function formatSpecific({ header, features, dataFile }: Image): FormatSpecific {
  const compressionType = header.compressionType === 1 ? 'zstd' : 'zlib';
  const common = {
    'compression-type': compressionType,
    'refcount-bits': 2 ** header.refcountOrder,
    ...(header.cryptMethod === 1 ? { encrypt: { format: 'aes' } } : {}),
  };
  if (header.version === 2) return { compat: '0.10', ...common };
  return {
    compat: '1.1',
    ...common,
    'lazy-refcounts': features.lazyRefcounts,
    corrupt: features.corrupt,
    'extended-l2': features.extendedL2,
    ...(dataFile?.name === undefined ? {} : { 'data-file': dataFile.name }),
    ...(dataFile === undefined ? {} : { 'data-file-raw': dataFile.raw }),
  };
}

function unqcowInfo(image: Image): UnqcowInfo {
  const { header, extensions, source, warnings } = image;
  const named = (bits: bigint, names: readonly string[]) => bitsOf(bits).map((bit) => names[bit] ?? `bit ${bit}`);
  return {
    source: source.id,
    version: header.version,
    header,
    features: {
      incompatible: bitsOf(header.incompatibleFeatures).map((bit) => nameOfFeature(extensions, bit)),
      compatible: named(header.compatibleFeatures, COMPATIBLE),
      autoclear: named(header.autoclearFeatures, AUTOCLEAR),
    },
    extensions: extensions.list.map(({ type, name, offset, length }) => ({
      type: `0x${type.toString(16).padStart(8, '0')}`,
      ...(name ? { name } : {}),
      offset,
      length,
    })),
    'unknown-extensions': extensions.unknown,
    l1: { offset: header.l1TableOffset, entries: header.l1Size, needed: l1EntriesNeeded(image) },
    warnings: warnings.list(),
  };
}
