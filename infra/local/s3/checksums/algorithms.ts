import { createHash } from 'node:crypto';
import { Crc32, Crc32c, Crc64NvmeJs } from '@aws-sdk/checksums/crc';

/** The checksums that this server computes, as S3 names them. */
export type Algorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256';

/** Of a multipart object: FULL_OBJECT is that of its bytes, COMPOSITE that of its parts' checksums. */
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';

/** Takes bytes as they come, and gives their checksum, highest byte first. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  digest(): Promise<Uint8Array>;
}

interface Properties {
  /** Bytes of a value. */
  readonly bytes: number;
  /** What a multipart upload may have; the first unless it says. */
  readonly types: readonly [ChecksumType, ...ChecksumType[]];
  readonly begin: () => Hasher;
}

const sha = (name: string) => (): Hasher => {
  const hash = createHash(name);
  return { update: (bytes) => void hash.update(bytes), digest: async () => hash.digest() };
};

/** @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html for the types */
export const ALGORITHMS: Readonly<Record<Algorithm, Properties>> = {
  CRC32: { bytes: 4, types: ['COMPOSITE', 'FULL_OBJECT'], begin: () => new Crc32() },
  CRC32C: { bytes: 4, types: ['COMPOSITE', 'FULL_OBJECT'], begin: () => new Crc32c() },
  CRC64NVME: { bytes: 8, types: ['FULL_OBJECT'], begin: () => new Crc64NvmeJs() },
  SHA1: { bytes: 20, types: ['COMPOSITE'], begin: sha('sha1') },
  SHA256: { bytes: 32, types: ['COMPOSITE'], begin: sha('sha256') },
};

export const ALGORITHM_NAMES = Object.keys(ALGORITHMS) as Algorithm[];

/** `x-amz-checksum-crc32` and its like. */
export const headerOf = (algorithm: Algorithm): string => `x-amz-checksum-${algorithm.toLowerCase()}`;

/** The algorithm that a checksum's header is named after. */
export const algorithmOf = (header: string | undefined): Algorithm | undefined =>
  ALGORITHM_NAMES.find((algorithm) => headerOf(algorithm) === header);

/** A checksum as S3 writes it: base64. */
export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** The checksum of bytes that are at hand, in base64. */
export async function checksumOfBytes(algorithm: Algorithm, bytes: Uint8Array): Promise<string> {
  const hasher = ALGORITHMS[algorithm].begin();
  hasher.update(bytes);
  return base64(await hasher.digest());
}
