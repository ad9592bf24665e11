import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { S3Error } from '../s3-error.ts';
import type { Signed } from './chunk-signatures.ts';
import { isPresigned, parsePresigned } from './presigned.ts';
import { header, type S3Request } from './request.ts';
import { uriEncode, uriEncodePath } from './uri-encode.ts';

const MAX_SKEW_MS = 15 * 60 * 1000;

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What a request says of its signature, in its header or its query. */
export interface SignatureClaims {
  readonly accessKeyId: string;
  readonly day: string;
  readonly scopeRegion: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  /** Hex. */
  readonly signature: string;
  /** `YYYYMMDDTHHMMSSZ` */
  readonly time: string;
  /** How long a presigned URL is good for, in seconds. */
  readonly expires?: number;
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/**
 * Checks a Signature Version 4, in the Authorization header or in the query of a presigned URL. Older ones are refused.
 *
 * @returns what the signatures of a body's chunks go on from
 * @throws S3Error `AccessDenied`, `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`,
 *   `InvalidAccessKeyId`, `RequestTimeTooSkewed`, `SignatureDoesNotMatch`
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
export function checkSignature(request: S3Request, credentials: Credentials, region: string, now = Date.now()): Signed {
  const claims = isPresigned(request) ? parsePresigned(request) : parseAuthorization(request);
  const { accessKeyId, day, scopeRegion, service, time, signature } = claims;
  if (scopeRegion !== region || service !== 's3') {
    const message = `The credential scope is malformed; expecting ${region}/s3`;
    throw malformed(claims, message, { Region: region });
  }
  if (accessKeyId !== credentials.accessKeyId) {
    throw new S3Error('InvalidAccessKeyId', undefined, { details: { AWSAccessKeyId: accessKeyId } });
  }
  checkTime(claims, now);
  const scope = `${day}/${region}/s3/aws4_request`;
  const canonical = canonicalRequest(request, claims);
  const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  if (!timingSafeEqual(hmac(key, toSign), Buffer.from(signature, 'hex'))) {
    throw new S3Error('SignatureDoesNotMatch', undefined, {
      details: { StringToSign: toSign, CanonicalRequest: canonical },
    });
  }
  checkSignedHeaders(request, claims);
  return { time, scope, key: key as Buffer, signature };
}

const malformed = ({ expires }: Pick<SignatureClaims, 'expires'>, message?: string, details = {}) =>
  new S3Error(expires === undefined ? 'AuthorizationHeaderMalformed' : 'AuthorizationQueryParametersError', message, {
    details,
  });

function parseAuthorization(request: S3Request): SignatureClaims {
  const authorization = header(request, 'authorization');
  const isVersion2 = authorization?.startsWith('AWS ') ?? request.query.has('AWSAccessKeyId');
  if (isVersion2) {
    const message = 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.';
    throw new S3Error('InvalidRequest', message);
  }
  if (authorization === undefined) throw new S3Error('AccessDenied');
  const match =
    /^AWS4-HMAC-SHA256\s+Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/([^/,]+)\/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (match === null) throw new S3Error('AuthorizationHeaderMalformed');
  const [, accessKeyId = '', day = '', scopeRegion = '', service = '', signed = '', signature = ''] = match;
  const time = header(request, 'x-amz-date') ?? '';
  return { accessKeyId, day, scopeRegion, service, signedHeaders: signed.split(';'), signature, time };
}

/** What S3 acts on must be signed, or anyone on the way could add to it. @throws S3Error `AccessDenied` */
function checkSignedHeaders(request: S3Request, { signedHeaders }: SignatureClaims): void {
  const needed = Object.keys(request.headers).filter((name) => name === 'host' || name.startsWith('x-amz-'));
  const missing = needed.filter((name) => !signedHeaders.includes(name));
  if (missing.length === 0) return;
  const message = 'There were headers present in the request which were not signed';
  throw new S3Error('AccessDenied', message, { details: { HeadersNotSigned: missing.join(', ') } });
}

/** @throws S3Error `RequestTimeTooSkewed`; for a presigned URL `AccessDenied` before its time and after it */
function checkTime(claims: SignatureClaims, now: number): void {
  const { time, day, expires } = claims;
  const [, date, hours, minutes, seconds] = /^(\d{8})T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? [];
  if (date === undefined) throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date');
  if (date !== day) throw malformed(claims, `Invalid credential date ${day}; it is not the date of x-amz-date.`);
  const at = Date.parse(`${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}T${hours}:${minutes}:${seconds}Z`);
  const ServerTime = new Date(now).toISOString();
  if (expires !== undefined) {
    const Expires = new Date(at + expires * 1000).toISOString();
    const details = { 'X-Amz-Expires': String(expires), Expires, ServerTime };
    if (at > now + MAX_SKEW_MS) throw new S3Error('AccessDenied', 'Request is not yet valid', { details });
    if (at + expires * 1000 < now) throw new S3Error('AccessDenied', 'Request has expired', { details });
  } else if (!(Math.abs(at - now) <= MAX_SKEW_MS)) {
    const details = { RequestTime: time, ServerTime, MaxAllowedSkewMilliseconds: String(MAX_SKEW_MS) };
    throw new S3Error('RequestTimeTooSkewed', undefined, { details });
  }
}

function canonicalRequest(request: S3Request, { signedHeaders, expires }: SignatureClaims): string {
  const query = [...request.query]
    .filter(([name]) => expires === undefined || name !== 'X-Amz-Signature')
    .map(([name, value]) => `${uriEncode(name)}=${uriEncode(value)}`)
    .sort();
  const headers = signedHeaders.map((name) => `${name}:${(header(request, name) ?? '').trim().replace(/\s+/g, ' ')}\n`);
  const [, hoisted] = [...request.query].find(([name]) => name.toLowerCase() === 'x-amz-content-sha256') ?? [];
  const unsigned = expires === undefined ? '' : (hoisted ?? 'UNSIGNED-PAYLOAD');
  return [
    request.method,
    uriEncodePath(request.path),
    query.join('&'),
    headers.join(''),
    signedHeaders.join(';'),
    header(request, 'x-amz-content-sha256') ?? unsigned,
  ].join('\n');
}
