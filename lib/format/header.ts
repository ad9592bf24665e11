import { UnqcowError, type Warning } from '../errors.ts';
import { knownFormat } from './known-formats.ts';
import { BACKING_NAME_LIMIT, FORMAT_LIMITS } from './limits.ts';
import { type Read, readStruct, viewOf } from './struct.ts';

/** qcow2.rst § Header, bytes 0–71. Offsets are host offsets in bytes. */
export const HEADER_V2 = {
  magic: [0, 'u32'],
  version: [4, 'u32'],
  backingFileOffset: [8, 'u64'],
  backingFileSize: [16, 'u32'],
  clusterBits: [20, 'u32'],
  size: [24, 'u64'],
  cryptMethod: [32, 'u32'],
  l1Size: [36, 'u32'],
  l1TableOffset: [40, 'u64'],
  refcountTableOffset: [48, 'u64'],
  refcountTableClusters: [56, 'u32'],
  nbSnapshots: [60, 'u32'],
  snapshotsOffset: [64, 'u64'],
} as const;

/** Bytes 72–103. In a version-2 image these bytes belong to the header extensions: never read them as fields. */
export const HEADER_V3 = {
  incompatibleFeatures: [72, 'u64'],
  compatibleFeatures: [80, 'u64'],
  autoclearFeatures: [88, 'u64'],
  refcountOrder: [96, 'u32'],
  headerLength: [100, 'u32'],
} as const;

/** Byte 104, there if the header is longer than 104 bytes. */
const COMPRESSION_TYPE = { compressionType: [104, 'u8'] } as const;

/** What version 2 means by not having the fields. */
const V3_DEFAULTS: Read<typeof HEADER_V3> = {
  incompatibleFeatures: 0n,
  compatibleFeatures: 0n,
  autoclearFeatures: 0n,
  refcountOrder: 4,
  headerLength: 72,
};

export const MAGIC = 0x514649fb;

/** Every header field, as written; nothing is rounded or corrected. */
export type Header = Read<typeof HEADER_V2> & Read<typeof HEADER_V3> & Read<typeof COMPRESSION_TYPE>;

/**
 * Reads the fixed header and checks each field that decides how the rest is read.
 *
 * @param head The file's first bytes: 104 or more where the file has them.
 * @throws UnqcowError `TRUNCATED_HEADER`, `NOT_QCOW`, `UNSUPPORTED_VERSION`, `BAD_CLUSTER_BITS`, `BAD_HEADER_LENGTH`,
 * `BAD_BACKING_NAME`, `UNSUPPORTED_ENCRYPTION`, `BAD_COMPRESSION_TYPE`, `UNSUPPORTED_COMPRESSION`.
 * @see qcow2.rst § Header
 */
export function parseHeader(head: Uint8Array, fileSize: number, warn: (warning: Warning) => void): Header {
  const view = viewOf(head);
  if (head.length >= 4 && view.getUint32(0) !== MAGIC) throw notQcow(head);
  const version = head.length >= 8 ? view.getUint32(4) : undefined;
  if (version !== undefined && version !== 2 && version !== 3) {
    throw new UnqcowError('UNSUPPORTED_VERSION', `version ${version} is not 2 or 3`, { at: 'header.version' });
  }
  const needed = version === 3 ? 104 : 72;
  if (head.length < needed) {
    throw new UnqcowError('TRUNCATED_HEADER', `${fileSize} bytes do not hold a header of ${needed}`, { at: 'header' });
  }
  const fields = { ...readStruct(view, HEADER_V2), ...(version === 3 ? readStruct(view, HEADER_V3) : V3_DEFAULTS) };
  checkClusterBits(fields.clusterBits);
  checkHeaderLength(fields, fileSize, warn);
  const hasType = fields.headerLength > 104;
  const header = { ...fields, compressionType: hasType ? view.getUint8(104) : 0 };
  checkBackingName(header);
  if (header.cryptMethod > 2) {
    throw new UnqcowError(
      'UNSUPPORTED_ENCRYPTION',
      `method ${header.cryptMethod} is not 0 (none), 1 (AES) or 2 (LUKS)`,
      {
        at: 'header.crypt_method',
      },
    );
  }
  return header;
}

function notQcow(head: Uint8Array): UnqcowError {
  const format = knownFormat(head);
  const hint = format ? `: this is ${format}` : '';
  return new UnqcowError('NOT_QCOW', `the file does not start with "QFI\\xfb"${hint}`, { at: 'header.magic' });
}

function checkClusterBits(bits: number): void {
  const { minClusterBits, maxClusterBits } = FORMAT_LIMITS;
  if (bits >= minClusterBits && bits <= maxClusterBits) return;
  throw new UnqcowError('BAD_CLUSTER_BITS', `${bits} is not within ${minClusterBits}–${maxClusterBits}`, {
    at: 'header.cluster_bits',
  });
}

type Fixed = Omit<Header, 'compressionType'>;

function checkHeaderLength(header: Fixed, fileSize: number, warn: (warning: Warning) => void): void {
  const { headerLength, clusterBits, version } = header;
  const at = 'header.header_length';
  if (version === 2) return;
  if (headerLength < 104 || headerLength > 2 ** clusterBits) {
    throw new UnqcowError('BAD_HEADER_LENGTH', `${headerLength} is not within 104–${2 ** clusterBits}`, { at });
  }
  if (headerLength > fileSize) {
    throw new UnqcowError('TRUNCATED_HEADER', `${fileSize} bytes do not hold a header of ${headerLength}`, { at });
  }
  if (headerLength % 8 !== 0) {
    warn({
      code: 'HEADER_LENGTH_UNALIGNED',
      message: `the header length, ${headerLength}, is not a multiple of 8`,
      at,
    });
  }
}

function checkBackingName({ backingFileOffset, backingFileSize, clusterBits, headerLength }: Header): void {
  if (backingFileOffset === 0n) return;
  const clusterSize = 2 ** clusterBits;
  const at = 'header.backing_file_offset';
  if (backingFileOffset > clusterSize) {
    throw new UnqcowError('BAD_BACKING_NAME', `the name lies at ${backingFileOffset}, past the first cluster`, { at });
  }
  const room = Math.min(BACKING_NAME_LIMIT, clusterSize - Number(backingFileOffset));
  if (backingFileSize > room) {
    throw new UnqcowError('BAD_BACKING_NAME', `the name is ${backingFileSize} bytes long, and may have ${room}`, {
      at,
    });
  }
  if (backingFileSize > 0 && backingFileOffset < headerLength) {
    throw new UnqcowError('BAD_BACKING_NAME', `the name lies at ${backingFileOffset}, inside the header`, { at });
  }
}
