import { ALGORITHM_NAMES, type Algorithm, checksumOfBytes } from '../../../infra/local/s3/checksums/algorithms.ts';

export { ALGORITHM_NAMES, type Algorithm };

/** A checksum in base64. `checksum-values.test.ts` holds the algorithms to published values. */
export const checksum = checksumOfBytes;

/** The SDK's name of the member that holds it. */
export const memberOf = (algorithm: Algorithm): `Checksum${Algorithm}` => `Checksum${algorithm}`;

/** A request's member with the right value for these bytes. */
export async function given(algorithm: Algorithm, data: Uint8Array): Promise<Record<string, string>> {
  return { [memberOf(algorithm)]: await checksumOfBytes(algorithm, data) };
}

/** What the SDK found of checksums in an answer, but for their type. */
export function found(answer: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(answer).filter(
      ([name, value]) => name.startsWith('Checksum') && name !== 'ChecksumType' && value !== undefined,
    ),
  );
}

/** The checksum of parts' checksums, as AWS composes it. */
export async function composed(algorithm: Algorithm, parts: readonly Uint8Array[]): Promise<string> {
  const values = await Promise.all(parts.map((part) => checksumOfBytes(algorithm, part)));
  const joined = Buffer.concat(values.map((value) => Buffer.from(value, 'base64')));
  return `${await checksumOfBytes(algorithm, joined)}-${parts.length}`;
}
