import { UnqcowError, type Warning } from '../../errors.ts';
import type { ByteRange } from '../../ranges.ts';
import type { OpenOptions } from '../checks.ts';
import { MAGIC } from '../header.ts';
import { knownFormat } from '../known-formats.ts';
import { BACKING_NAME_LIMIT } from '../limits.ts';
import { type Read, readStruct, viewOf } from '../struct.ts';
import { diskSizeOf, L2_ENTRY_BYTES, l1EntriesOf, l2TablesOf, MAX_HELD_L1_BYTES } from './geometry.ts';

/** The QCOW version 1 header, bytes 0–47. Offsets are host offsets in bytes. */
export const QCOW1_HEADER = {
  magic: [0, 'u32'],
  version: [4, 'u32'],
  backingFileOffset: [8, 'u64'],
  backingFileSize: [16, 'u32'],
  /** When the backing file was last changed, in seconds since 1970; QEMU writes 0. */
  mtime: [20, 'u32'],
  size: [24, 'u64'],
  clusterBits: [32, 'u8'],
  l2Bits: [33, 'u8'],
  padding: [34, 'u16'],
  cryptMethod: [36, 'u32'],
  l1TableOffset: [40, 'u64'],
} as const;

export const QCOW1_HEADER_BYTES = 48;

/** What QEMU accepts. An L2 table has 2^bits entries of 8 bytes: 512 bytes to 64 KiB. */
const QCOW1_LIMITS = {
  minClusterBits: 9,
  maxClusterBits: 16,
  minL2Bits: 6,
  maxL2Bits: 13,
  /** The L1 table is just short of 2 GiB. */
  maxL1Entries: 2 ** 28 - 1,
} as const;

/** Every header field, as written; nothing is rounded or corrected. */
export type Qcow1Header = Read<typeof QCOW1_HEADER>;

type Warn = (warning: Warning) => void;

/**
 * Reads the header and checks all of it that can be told in constant time.
 *
 * @param head The file's first bytes: 48 or more where the file has them.
 * @throws UnqcowError `TRUNCATED_HEADER`, `NOT_QCOW`, `UNSUPPORTED_VERSION`, `BAD_SIZE`, `BAD_CLUSTER_BITS`,
 * `BAD_L2_BITS`, `UNSUPPORTED_ENCRYPTION`, `VIRTUAL_SIZE_TOO_LARGE`, `BAD_BACKING_NAME`, `L1_OVERLAPS_HEADER`,
 * `L1_BEYOND_EOF`, `METADATA_OVERLAP`.
 */
export function parseQcow1Header(
  head: Uint8Array,
  fileSize: number,
  warn: Warn,
  options: OpenOptions = {},
): Qcow1Header {
  const view = viewOf(head);
  checkKind(view, head);
  if (head.length < QCOW1_HEADER_BYTES) {
    const message = `${fileSize} bytes do not hold a header of ${QCOW1_HEADER_BYTES}`;
    throw new UnqcowError('TRUNCATED_HEADER', message, { at: 'header' });
  }
  const header = readStruct(view, QCOW1_HEADER);
  checkSizes(header, warn);
  if (header.cryptMethod > 1) {
    const message = `method ${header.cryptMethod} is not 0 (none) or 1 (AES)`;
    throw new UnqcowError('UNSUPPORTED_ENCRYPTION', message, { at: 'header.crypt_method' });
  }
  checkBackingName(header, fileSize, warn);
  checkL1(header, fileSize, options);
  return header;
}

function checkKind(view: DataView, head: Uint8Array): void {
  if (head.length >= 4 && view.getUint32(0) !== MAGIC) {
    const format = knownFormat(head);
    const hint = format ? `: this is ${format}` : '';
    throw new UnqcowError('NOT_QCOW', `the file does not start with "QFI\\xfb"${hint}`, { at: 'header.magic' });
  }
  const version = head.length >= 8 ? view.getUint32(4) : 1;
  if (version === 1) return;
  throw new UnqcowError('UNSUPPORTED_VERSION', `version ${version} is not 1`, { at: 'header.version' });
}

function checkSizes(header: Qcow1Header, warn: Warn): void {
  const { size, clusterBits, l2Bits } = header;
  const { minClusterBits, maxClusterBits, minL2Bits, maxL2Bits, maxL1Entries } = QCOW1_LIMITS;
  if (size < 2n) {
    throw new UnqcowError('BAD_SIZE', `a disk of ${size} bytes is smaller than 2`, { at: 'header.size' });
  }
  if (clusterBits < minClusterBits || clusterBits > maxClusterBits) {
    const message = `${clusterBits} is not within ${minClusterBits}–${maxClusterBits}`;
    throw new UnqcowError('BAD_CLUSTER_BITS', message, { at: 'header.cluster_bits' });
  }
  if (l2Bits < minL2Bits || l2Bits > maxL2Bits) {
    const message = `${l2Bits} is not within ${minL2Bits}–${maxL2Bits}`;
    throw new UnqcowError('BAD_L2_BITS', message, { at: 'header.l2_bits' });
  }
  if (l1EntriesOf(header) > maxL1Entries) {
    throw new UnqcowError('VIRTUAL_SIZE_TOO_LARGE', `a disk of ${size} bytes cannot be mapped`, { at: 'header.size' });
  }
  if (size % 512n !== 0n) {
    const message = `${size} is not a multiple of 512: the disk ends at ${size - (size % 512n)}`;
    warn({ code: 'SIZE_NOT_512', message, at: 'header.size' });
  }
}

/** The name may lie anywhere in the file: version 1 does not keep it to the first cluster. */
function checkBackingName(header: Qcow1Header, fileSize: number, warn: Warn): void {
  const { backingFileOffset: offset, backingFileSize: length } = header;
  if (offset === 0n) return;
  const refuse = (message: string, at: string) => new UnqcowError('BAD_BACKING_NAME', message, { at: `header.${at}` });
  if (length > BACKING_NAME_LIMIT) {
    throw refuse(`the name is ${length} bytes long, and may have ${BACKING_NAME_LIMIT}`, 'backing_file_size');
  }
  if (length === 0) {
    warn({ code: 'BACKING_NAME_EMPTY', message: 'the backing file has no name', at: 'header.backing_file_size' });
  } else if (offset < QCOW1_HEADER_BYTES) {
    throw refuse(`the name lies at ${offset}, inside the header`, 'backing_file_offset');
  } else if (offset + BigInt(length) > fileSize) {
    throw refuse('the name lies past the end of the file', 'backing_file_offset');
  }
}

/** Of an L1 table only what the disk needs must be there. One that is cut off is read if it would be held in memory. */
function checkL1(header: Qcow1Header, fileSize: number, { tablesAnywhere, cutTables }: OpenOptions): void {
  const { l1TableOffset: offset } = header;
  const needed = l2TablesOf({ ...header, diskSize: diskSizeOf(header) });
  if (needed === 0 || tablesAnywhere) return;
  const at = 'header.l1_table_offset';
  if (offset < QCOW1_HEADER_BYTES)
    throw new UnqcowError('L1_OVERLAPS_HEADER', `the L1 table lies at ${offset}`, { at });
  const end = offset + BigInt(needed) * BigInt(L2_ENTRY_BYTES);
  const mayBeCut = cutTables && needed * L2_ENTRY_BYTES <= MAX_HELD_L1_BYTES;
  if (end > fileSize && !mayBeCut) {
    const message = `${needed} entries at ${offset} run past the file's ${fileSize} bytes`;
    throw new UnqcowError('L1_BEYOND_EOF', message, { at });
  }
  const name = backingNameRange(header);
  if (name && name.start < end && offset < name.end) {
    throw new UnqcowError('METADATA_OVERLAP', `the L1 table at ${offset} lies on the backing file's name`, { at });
  }
}

/** Where the backing file's name lies, if there is a backing file. */
export function backingNameRange({ backingFileOffset, backingFileSize }: Qcow1Header): ByteRange | undefined {
  if (backingFileOffset === 0n || backingFileSize === 0) return undefined;
  const start = Number(backingFileOffset);
  return { start, end: start + backingFileSize };
}
