import { ALGORITHM_NAMES, ALGORITHMS, type Algorithm, algorithmOf, headerOf } from '../checksums/algorithms.ts';
import { S3Error } from '../s3-error.ts';
import { header, type S3Request } from './request.ts';

/** Known to S3, but not computed here: better refused by name than kept unverified. */
const NOT_COMPUTED = ['md5', 'sha512', 'xxhash3', 'xxhash64', 'xxhash128'].map((name) => `x-amz-checksum-${name}`);

/** Payloads that come in the `aws-chunked` encoding. */
const STREAMING = {
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { signed: false, trailer: true },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { signed: true, trailer: false },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { signed: true, trailer: true },
} as const;

/** What a request claims about its body. */
export interface BodyClaims {
  /** Hex. Undefined for a payload that is not signed, or is signed chunk by chunk. */
  readonly contentSha256: string | undefined;
  /** Whether the body is `aws-chunked`, and whether its chunks are signed and trailers follow them. */
  readonly streaming: { readonly signed: boolean; readonly trailer: boolean } | undefined;
  /** Base64. */
  readonly contentMd5: string | undefined;
  readonly checksum: { readonly algorithm: Algorithm; readonly value: string } | undefined;
  /** The checksum that will follow an aws-chunked body. */
  readonly trailer: Algorithm | undefined;
}

const isBase64Of = (text: string, bytes: number): boolean => {
  const decoded = Buffer.from(text, 'base64');
  return decoded.length === bytes && decoded.toString('base64') === text;
};

/** Checks a value that a header or trailer gives. @throws S3Error `InvalidRequest` if it is not base64 of its length. */
export function parseChecksum(algorithm: Algorithm, value: string): { algorithm: Algorithm; value: string } {
  if (isBase64Of(value, ALGORITHMS[algorithm].bytes)) return { algorithm, value };
  throw new S3Error('InvalidRequest', `Value for ${headerOf(algorithm)} header is invalid.`);
}

/** The checksum of the body that the headers give. @throws S3Error `InvalidRequest` for two of them, `NotImplemented` */
export function checksumIn(request: S3Request): BodyClaims['checksum'] {
  const refused = NOT_COMPUTED.find((name) => header(request, name) !== undefined);
  if (refused !== undefined) throw new S3Error('NotImplemented', `${refused} is not implemented.`);
  const given = ALGORITHM_NAMES.filter((name) => header(request, headerOf(name)) !== undefined);
  if (given.length > 1) throw twoChecksums();
  const [algorithm] = given;
  return algorithm && parseChecksum(algorithm, header(request, headerOf(algorithm)) ?? '');
}

const twoChecksums = () =>
  new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.');

/** @throws S3Error `NotImplemented`, `InvalidRequest`, `InvalidDigest`, `InvalidArgument` for claims that no body can meet. */
export function bodyClaims(request: S3Request): BodyClaims {
  const payload = payloadOf(request);
  const checksum = checksumIn(request);
  const trailer = trailerOf(request);
  if (checksum !== undefined && trailer !== undefined) throw twoChecksums();
  if (trailer !== undefined && payload.streaming?.trailer !== true)
    throw new S3Error('InvalidRequest', 'x-amz-trailer goes with a payload that has trailers.');
  checkSdkAlgorithm(request, checksum?.algorithm ?? trailer);
  const contentMd5 = header(request, 'content-md5');
  if (contentMd5 !== undefined && !isBase64Of(contentMd5, 16)) throw new S3Error('InvalidDigest');
  return { ...payload, contentMd5, checksum, trailer };
}

function trailerOf(request: S3Request): Algorithm | undefined {
  const name = header(request, 'x-amz-trailer');
  if (name === undefined) return undefined;
  if (NOT_COMPUTED.includes(name)) throw new S3Error('NotImplemented', `${name} is not implemented.`);
  const algorithm = algorithmOf(name.toLowerCase());
  if (algorithm === undefined)
    throw new S3Error('InvalidRequest', 'The value specified in the x-amz-trailer header is not supported');
  return algorithm;
}

/** What an SDK says that it sends must be there. */
function checkSdkAlgorithm(request: S3Request, actual: Algorithm | undefined): void {
  const announced = header(request, 'x-amz-sdk-checksum-algorithm')?.toUpperCase();
  if (announced === undefined || announced === actual) return;
  const message = ALGORITHM_NAMES.some((name) => name === announced)
    ? 'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.'
    : 'Value for x-amz-sdk-checksum-algorithm header is invalid.';
  throw new S3Error('InvalidRequest', message);
}

function payloadOf(request: S3Request): Pick<BodyClaims, 'contentSha256' | 'streaming'> {
  const value = header(request, 'x-amz-content-sha256');
  if (value === undefined)
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  if (value === 'UNSIGNED-PAYLOAD') return { contentSha256: undefined, streaming: undefined };
  const streaming = Object.entries(STREAMING).find(([name]) => name === value)?.[1];
  if (streaming !== undefined) return { contentSha256: undefined, streaming };
  if (value.startsWith('STREAMING-')) throw new S3Error('NotImplemented', `${value} is not implemented.`);
  if (/^[0-9a-f]{64}$/.test(value)) return { contentSha256: value, streaming: undefined };
  const names = ['UNSIGNED-PAYLOAD', ...Object.keys(STREAMING)].join(', ');
  throw new S3Error('InvalidArgument', `x-amz-content-sha256 must be ${names}, or a valid sha256 value.`);
}
