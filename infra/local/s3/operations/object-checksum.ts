import { ALGORITHMS, type Algorithm, type ChecksumType, checksumOfBytes } from '../checksums/algorithms.ts';
import { isCrc, joinCrcs } from '../checksums/crc-combine.ts';
import { checksumIn } from '../protocol/body-claims.ts';
import { header, type S3Request } from '../protocol/request.ts';
import { S3Error } from '../s3-error.ts';
import type { Checksum, PartSummary, UploadRecord } from '../store/records.ts';

/**
 * The checksum that CreateMultipartUpload asks for, if it does.
 * @throws S3Error `InvalidRequest` for a type without an algorithm, and for types that the algorithm cannot have
 */
export function uploadChecksum(request: S3Request): UploadRecord['checksum'] {
  const name = header(request, 'x-amz-checksum-algorithm')?.toUpperCase();
  const type = header(request, 'x-amz-checksum-type')?.toUpperCase();
  if (name === undefined) {
    if (type === undefined) return undefined;
    throw invalid('The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.');
  }
  const algorithm = algorithmNamed(name);
  const { types } = ALGORITHMS[algorithm];
  if (type === undefined) return { algorithm, type: types[0] };
  if (type !== 'FULL_OBJECT' && type !== 'COMPOSITE') throw invalid('Value for x-amz-checksum-type header is invalid.');
  if (types.includes(type)) return { algorithm, type };
  throw invalid(`The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`);
}

/** The value of `x-amz-checksum-algorithm`. @throws S3Error `InvalidRequest`, `NotImplemented` */
export function algorithmNamed(name: string): Algorithm {
  if (name in ALGORITHMS) return name as Algorithm;
  if (/^(MD5|SHA512|XXHASH(3|64|128))$/.test(name))
    throw new S3Error('NotImplemented', `The checksum ${name} is not implemented.`);
  throw invalid('Checksum algorithm provided is unsupported. Please try again with any of the valid types');
}

/** The checksum of an object made of parts: that of its bytes, or that of its parts' checksums. */
export async function checksumOfParts(
  { algorithm, type }: { readonly algorithm: Algorithm; readonly type: ChecksumType },
  parts: readonly PartSummary[],
): Promise<Checksum> {
  const pieces = parts.map(({ checksum = '', size }) => ({ value: checksum, size }));
  if (type === 'FULL_OBJECT' && isCrc(algorithm)) return { algorithm, type, value: joinCrcs(algorithm, pieces) };
  const joined = Buffer.concat(pieces.map(({ value }) => Buffer.from(value, 'base64')));
  return { algorithm, type: 'COMPOSITE', value: `${await checksumOfBytes(algorithm, joined)}-${parts.length}` };
}

/**
 * Holds what Complete says of the object's checksum against what it is.
 * @throws S3Error `BadDigest` for another value, `InvalidRequest` for one that cannot be
 */
export function checkObjectChecksum(request: S3Request, computed: Checksum | undefined): void {
  const type = header(request, 'x-amz-checksum-type');
  if (type !== undefined && type !== computed?.type) {
    throw invalid(
      `The upload was created using the ${computed?.type} checksum mode. The complete request must use the same checksum mode.`,
    );
  }
  const given = checksumIn(withoutSuffixes(request));
  if (given === undefined) return;
  if (given.algorithm !== computed?.algorithm) {
    const expected = computed?.algorithm.toLowerCase() ?? 'null';
    throw invalid(
      `Checksum Type mismatch occurred, expected checksum Type: ${expected}, actual checksum Type: ${given.algorithm.toLowerCase()}`,
    );
  }
  if (given.value === computed.value.replace(/-\d+$/, '')) return;
  throw new S3Error('BadDigest', `The ${given.algorithm} you specified did not match the calculated checksum.`);
}

/** A composite checksum may be given with the number of parts behind it. */
function withoutSuffixes(request: S3Request): S3Request {
  const headers = Object.entries(request.headers).map(([name, value]) => [
    name,
    name.startsWith('x-amz-checksum-') && typeof value === 'string' ? value.replace(/-\d+$/, '') : value,
  ]);
  return { ...request, headers: Object.fromEntries(headers) };
}

const invalid = (message: string) => new S3Error('InvalidRequest', message);
