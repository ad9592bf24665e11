import { S3Error } from '../s3-error.ts';
import type { S3Request } from './request.ts';
import type { SignatureClaims } from './signature.ts';

const WEEK = 604_800;

const PARAMETERS = [
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-SignedHeaders',
  'X-Amz-Signature',
] as const;

/** Whether the query holds a signature. */
export const isPresigned = ({ query }: Pick<S3Request, 'query'>): boolean => PARAMETERS.some((name) => query.has(name));

/**
 * What a presigned URL says of its signature.
 * @throws S3Error `AuthorizationQueryParametersError` if a part is missing or malformed, `InvalidArgument` if there is a
 *   signature in the headers too
 */
export function parsePresigned({ query, headers }: S3Request): SignatureClaims {
  if (headers.authorization !== undefined) {
    const message =
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified';
    throw new S3Error('InvalidArgument', message);
  }
  const [algorithm, credential, time, expires, signed, signature] = PARAMETERS.map((name) => query.get(name) ?? '');
  if (PARAMETERS.some((name) => !query.get(name))) {
    throw malformed(`Query-string authentication version 4 requires the ${PARAMETERS.join(', ')} parameters.`);
  }
  if (algorithm !== 'AWS4-HMAC-SHA256') throw malformed('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  const match = /^([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request$/.exec(credential ?? '');
  if (match === null) throw malformed('Error parsing the X-Amz-Credential parameter; it is not of the form KEY/SCOPE.');
  const [, accessKeyId = '', day = '', scopeRegion = '', service = ''] = match;
  if (!/^-?\d+$/.test(expires ?? '')) throw malformed('X-Amz-Expires should be a number');
  if (Number(expires) < 0) throw malformed('X-Amz-Expires must be non-negative');
  if (Number(expires) > WEEK)
    throw malformed(
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    );
  if (!/^[0-9a-f]{64}$/.test(signature ?? '')) throw new S3Error('SignatureDoesNotMatch');
  return {
    accessKeyId,
    day,
    scopeRegion,
    service,
    signedHeaders: (signed ?? '').split(';'),
    signature: signature ?? '',
    time: time ?? '',
    expires: Number(expires),
  };
}

const malformed = (message: string) => new S3Error('AuthorizationQueryParametersError', message);

/**
 * A presigned request as it would be with its signature in the headers: query parameters that stand for `x-amz-` headers
 * become headers, the signature goes. Any other request stays as it is.
 */
export function withoutPresigning(request: S3Request): S3Request {
  if (!isPresigned(request)) return request;
  const query = new Map([...request.query].filter(([name]) => !/^x-amz-/i.test(name)));
  const hoisted = [...request.query].flatMap(([name, value]) =>
    /^x-amz-/i.test(name) && !PARAMETERS.some((parameter) => parameter === name) ? [[name.toLowerCase(), value]] : [],
  );
  const headers = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', ...Object.fromEntries(hoisted), ...request.headers };
  return { ...request, query, headers };
}
