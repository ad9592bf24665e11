import { UnqcowError, type Warning, type WarningCode } from '../errors.ts';
import { parseBitmapsExtension } from './bitmaps-extension.ts';
import { CRYPTO_EXTENSION, type Extensions, featureName, lastOf } from './extensions.ts';
import { FEATURES, type FeatureKind, type Features } from './features.ts';
import type { Header } from './header.ts';
import { FORMAT_LIMITS } from './limits.ts';
import { LUKS_HEADER_BYTES } from './luks.ts';
import { snapshotTableFault } from './snapshot-table.ts';
import { readStruct, viewOf } from './struct.ts';

/** What the checks look at. */
export interface Facts {
  readonly header: Header;
  readonly features: Features;
  readonly extensions: Extensions;
  /** The image file's length, in bytes. */
  readonly fileSize: number;
}

type Warn = (warning: Warning) => void;

export interface OpenOptions {
  /** The L1 table may lie on the header or past the end of the file: whoever asks will find that out and say so. */
  readonly tablesAnywhere?: boolean;
  /** The L1 table may run past the end of the file: of version 1 only one that is held in memory. */
  readonly cutTables?: boolean | undefined;
}

/**
 * Everything about a header that can be told in constant time. What could make the disk's bytes wrong is refused; what
 * cannot is a warning. `info` and `convert` both pass through here.
 *
 * @throws UnqcowError `BAD_COMPRESSION_TYPE`, `UNSUPPORTED_COMPRESSION`, `BAD_CLUSTER_BITS`, `VIRTUAL_SIZE_TOO_LARGE`,
 * `L1_TOO_LARGE`, `L1_TOO_SMALL`, `BAD_L1_OFFSET`, `L1_OVERLAPS_HEADER`, `L1_BEYOND_EOF`, `BAD_CRYPTO_EXT`,
 * `BAD_LUKS_HEADER`, `BAD_BACKING_FORMAT`.
 */
export function checkFacts(facts: Facts, warn: Warn, options: OpenOptions = {}): void {
  checkCompressionType(facts);
  checkSubclusters(facts);
  checkL1(facts, warn, options);
  checkEncryption(facts);
  checkBackingFormat(facts, warn);
  warnAboutFeatures(facts, warn);
  warnAboutRefcounts(facts, warn);
  warnAboutSnapshots(facts, warn);
  warnAboutBitmaps(facts, warn);
}

function checkCompressionType({ header, features }: Facts): void {
  const { compressionType } = header;
  const at = 'header.compression_type';
  if (compressionType > 1) {
    throw new UnqcowError('UNSUPPORTED_COMPRESSION', `type ${compressionType} is not 0 (deflate) or 1 (zstd)`, { at });
  }
  if ((compressionType === 1) !== features.compressionType) {
    const state = features.compressionType ? 'set' : 'not set';
    throw new UnqcowError('BAD_COMPRESSION_TYPE', `type ${compressionType}, but the feature bit is ${state}`, { at });
  }
}

function checkSubclusters({ header, features }: Facts): void {
  if (!features.extendedL2 || header.clusterBits >= FORMAT_LIMITS.minClusterBitsExtendedL2) return;
  const size = 2 ** header.clusterBits / 32;
  throw new UnqcowError('BAD_CLUSTER_BITS', `subclusters of ${size} bytes are smaller than 512`, {
    at: 'header.cluster_bits',
  });
}

/** How many L1 entries the disk needs. */
export function l1EntriesNeeded({ header, features }: Pick<Facts, 'header' | 'features'>): number {
  const entryBits = features.extendedL2 ? 4 : 3;
  const coverage = 1n << BigInt(2 * header.clusterBits - entryBits);
  return Number((header.size + coverage - 1n) / coverage);
}

function checkL1(facts: Facts, warn: Warn, { tablesAnywhere = false, cutTables = false }: OpenOptions): void {
  const { header, fileSize } = facts;
  const { l1Size, l1TableOffset: offset, size } = header;
  const needed = l1EntriesNeeded(facts);
  if (size > FORMAT_LIMITS.maxOffset || needed > 2 ** 31 - 1) {
    throw new UnqcowError('VIRTUAL_SIZE_TOO_LARGE', `a disk of ${size} bytes cannot be mapped`, { at: 'header.size' });
  }
  if (l1Size * 8 > FORMAT_LIMITS.maxL1Bytes) {
    throw new UnqcowError('L1_TOO_LARGE', `${l1Size} entries are more than 32 MiB`, { at: 'header.l1_size' });
  }
  const bytes = BigInt(l1Size) * 8n;
  if (offset % (1n << BigInt(header.clusterBits)) !== 0n || offset + bytes > FORMAT_LIMITS.maxOffset) {
    throw new UnqcowError('BAD_L1_OFFSET', `the L1 table cannot lie at ${offset}`, { at: 'header.l1_table_offset' });
  }
  if (l1Size < needed) {
    throw new UnqcowError('L1_TOO_SMALL', `${size} bytes of disk need ${needed} entries, not ${l1Size}`, {
      at: 'header.l1_size',
    });
  }
  if (l1Size > 0 && offset === 0n && !tablesAnywhere) {
    throw new UnqcowError('L1_OVERLAPS_HEADER', 'the L1 table lies at 0', { at: 'header.l1_table_offset' });
  }
  if (needed > 0 && offset + BigInt(needed) * 8n > fileSize && !tablesAnywhere && !cutTables) {
    throw new UnqcowError('L1_BEYOND_EOF', `${needed} entries at ${offset} run past the file's ${fileSize} bytes`, {
      at: 'header.l1_table_offset',
    });
  }
  if (offset + bytes > fileSize) {
    const message = `L1 entries from ${needed} on, which the disk does not need, run past the end of the file`;
    warn({ code: 'L1_SURPLUS_BEYOND_EOF', message, at: 'header.l1_size' });
  }
  if (size % 512n !== 0n) {
    const message = `${size} is not a multiple of 512: the disk ends at ${size - (size % 512n)}`;
    warn({ code: 'SIZE_NOT_512', message, at: 'header.size' });
  }
}

function checkEncryption({ header, extensions, fileSize }: Facts): void {
  const extension = lastOf(extensions, 'encryption header');
  const refuse = (message: string) => new UnqcowError('BAD_CRYPTO_EXT', message, { at: 'header.extensions.crypto' });
  if (header.cryptMethod !== 2) {
    if (extension) throw refuse('there is an encryption header, but the image is not encrypted with LUKS');
    return;
  }
  if (!extension) throw refuse('the image is encrypted with LUKS but has no encryption header');
  if (extension.length !== 16 || extension.data.length !== 16) throw refuse(`${extension.length} bytes are not 16`);
  const { offset, length } = readStruct(viewOf(extension.data), CRYPTO_EXTENSION);
  if (offset % (1n << BigInt(header.clusterBits)) !== 0n) throw refuse(`the encryption header cannot lie at ${offset}`);
  if (length < LUKS_HEADER_BYTES || offset + BigInt(LUKS_HEADER_BYTES) > fileSize) {
    throw new UnqcowError('BAD_LUKS_HEADER', `there are no ${LUKS_HEADER_BYTES} bytes at ${offset}`, {
      at: 'header.extensions.crypto',
    });
  }
}

function checkBackingFormat({ header, extensions }: Facts, warn: Warn): void {
  const tooLong = extensions.list.find(({ name, length }) => name === 'backing format' && length >= 16);
  if (!tooLong) return;
  const message = `a name of ${tooLong.length} bytes is longer than 15`;
  const at = 'header.extensions.backing_format';
  if (hasBacking(header)) throw new UnqcowError('BAD_BACKING_FORMAT', message, { at });
  warn({ code: 'BAD_BACKING_FORMAT', message, at });
}

export function hasBacking({ backingFileOffset, backingFileSize }: Header): boolean {
  return backingFileOffset !== 0n && backingFileSize > 0;
}

/** What the specification calls a feature, else what the image does, else its number. */
export function nameOfFeature(extensions: Extensions, kind: FeatureKind, bit: number): string {
  return FEATURES[kind][bit] ?? (featureName(extensions, kind, bit) || `unknown ${kind} feature ${bit}`);
}

function warnAboutFeatures({ header, features, extensions }: Facts, warn: Warn): void {
  const note = (code: WarningCode, message: string, at = 'header.incompatible_features') => warn({ code, message, at });
  if (features.dirty) note('DIRTY', 'the image was not closed properly');
  if (features.corrupt) note('CORRUPT', 'QEMU marked the image as corrupt');
  const unknown = features.unknownIncompatible.map((bit) => nameOfFeature(extensions, 'incompatible', bit));
  if (unknown.length > 0) note('UNKNOWN_FEATURE', unknown.join(', '));
  if (extensions.unknown > 0) {
    note('UNKNOWN_EXTENSION', `${extensions.unknown} header extensions of unknown type`, 'header.extensions');
  }
  if (header.backingFileOffset !== 0n && header.backingFileSize === 0) {
    note('BACKING_NAME_EMPTY', 'the backing file has no name', 'header.backing_file_size');
  }
  if (!features.dataFile && lastOf(extensions, 'data file name')) {
    note(
      'DATA_FILE_NAME_UNUSED',
      'a data file is named, but the image has its data inside',
      'header.extensions.data_file',
    );
  }
}

function warnAboutRefcounts({ header }: Facts, warn: Warn): void {
  const { refcountOrder, refcountTableOffset: offset, refcountTableClusters: clusters, clusterBits } = header;
  if (refcountOrder > FORMAT_LIMITS.maxRefcountOrder) {
    warn({ code: 'BAD_REFCOUNT_ORDER', message: `refcounts of 2^${refcountOrder} bits`, at: 'header.refcount_order' });
  }
  const at = 'header.refcount_table_offset';
  if (clusters === 0) warn({ code: 'BAD_REFTABLE', message: 'there is no refcount table', at });
  else if (!hasRefcountTable(header)) {
    warn({
      code: 'BAD_REFTABLE',
      message: `${clusters} clusters of ${2 ** clusterBits} bytes cannot lie at ${offset}`,
      at,
    });
  }
}

/** Whether the refcount table is where and as large as it may be. */
export function hasRefcountTable({ refcountTableOffset, refcountTableClusters, clusterBits }: Header): boolean {
  const bytes = refcountTableClusters * 2 ** clusterBits;
  if (bytes === 0 || bytes > FORMAT_LIMITS.maxRefcountTableBytes) return false;
  return (
    refcountTableOffset % (1n << BigInt(clusterBits)) === 0n &&
    refcountTableOffset + BigInt(bytes) <= FORMAT_LIMITS.maxOffset
  );
}

function warnAboutSnapshots({ header }: Facts, warn: Warn): void {
  const fault = snapshotTableFault(header);
  if (fault) warn(fault);
}

function warnAboutBitmaps({ header, features, extensions, fileSize }: Facts, warn: Warn): void {
  const extension = lastOf(extensions, 'bitmaps');
  const at = 'header.extensions.bitmaps';
  if (!extension) {
    if (features.bitmaps) warn({ code: 'BITMAPS_MISSING', message: 'the bitmaps bit is set, but there are none', at });
    return;
  }
  if (!features.bitmaps) {
    warn({ code: 'BITMAPS_STALE', message: 'the last writer did not keep the bitmaps up to date', at });
    return;
  }
  const parsed = parseBitmapsExtension(extension.data, { clusterBits: header.clusterBits, fileSize });
  if (typeof parsed === 'string') warn({ code: 'BITMAPS_INVALID', message: parsed, at });
}
