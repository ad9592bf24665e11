import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { S3Error } from '../s3-error.ts';
import { header, type S3Request } from './request.ts';
import { uriEncode, uriEncodePath } from './uri-encode.ts';

const MAX_SKEW_MS = 15 * 60 * 1000;

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/**
 * Checks a Signature Version 4 in the Authorization header.
 *
 * Not handled yet: presigned URLs and the older signatures are refused by name.
 * @throws S3Error `AccessDenied`, `AuthorizationHeaderMalformed`, `InvalidAccessKeyId`, `RequestTimeTooSkewed`,
 *   `SignatureDoesNotMatch`, `NotImplemented`
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function checkSignature(request: S3Request, credentials: Credentials, region: string, now = Date.now()): void {
  if (request.query.has('X-Amz-Algorithm')) throw new S3Error('NotImplemented', 'Presigned URLs are not implemented.');
  const { accessKeyId, day, scopeRegion, service, signedHeaders, signature } = parseAuthorization(request);
  if (scopeRegion !== region || service !== 's3') {
    const message = `The authorization header is malformed; expecting the scope ${region}/s3`;
    throw new S3Error('AuthorizationHeaderMalformed', message, { details: { Region: region } });
  }
  if (accessKeyId !== credentials.accessKeyId) {
    throw new S3Error('InvalidAccessKeyId', undefined, { details: { AWSAccessKeyId: accessKeyId } });
  }
  const time = checkTime(request, day, now);
  const scope = `${day}/${region}/s3/aws4_request`;
  const canonical = canonicalRequest(request, signedHeaders);
  const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  if (!timingSafeEqual(hmac(key, toSign), Buffer.from(signature, 'hex'))) {
    throw new S3Error('SignatureDoesNotMatch', undefined, {
      details: { StringToSign: toSign, CanonicalRequest: canonical },
    });
  }
}

function parseAuthorization(request: S3Request) {
  const authorization = header(request, 'authorization');
  if (authorization === undefined) throw new S3Error('AccessDenied');
  const match =
    /^AWS4-HMAC-SHA256\s+Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/([^/,]+)\/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (match === null) throw new S3Error('AuthorizationHeaderMalformed');
  const [, accessKeyId = '', day = '', scopeRegion = '', service = '', signed = '', signature = ''] = match;
  const signedHeaders = signed.split(';');
  // What S3 acts on must be signed, or anyone on the way could add to it.
  const unsigned = Object.keys(request.headers).filter((name) => name === 'host' || name.startsWith('x-amz-'));
  const missing = unsigned.filter((name) => !signedHeaders.includes(name));
  if (missing.length > 0) {
    const message = 'There were headers present in the request which were not signed';
    throw new S3Error('AccessDenied', message, { details: { HeadersNotSigned: missing.join(', ') } });
  }
  return { accessKeyId, day, scopeRegion, service, signedHeaders, signature };
}

/** @returns the request's time as it was signed */
function checkTime(request: S3Request, day: string, now: number): string {
  const text = header(request, 'x-amz-date') ?? '';
  const [, date, hours, minutes, seconds] = /^(\d{8})T(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? [];
  if (date === undefined) throw new S3Error('AccessDenied', 'AWS authentication requires a valid x-amz-date header');
  if (date !== day)
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      `Invalid credential date ${day}; it is not the date of x-amz-date.`,
    );
  const iso = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}T${hours}:${minutes}:${seconds}Z`;
  const skew = Math.abs(Date.parse(iso) - now);
  if (!(skew <= MAX_SKEW_MS)) {
    const details = {
      RequestTime: text,
      ServerTime: new Date(now).toISOString(),
      MaxAllowedSkewMilliseconds: String(MAX_SKEW_MS),
    };
    throw new S3Error('RequestTimeTooSkewed', undefined, { details });
  }
  return text;
}

function canonicalRequest(request: S3Request, signedHeaders: readonly string[]): string {
  const query = [...request.query].map(([name, value]) => `${uriEncode(name)}=${uriEncode(value)}`).sort();
  const headers = signedHeaders.map((name) => `${name}:${(header(request, name) ?? '').trim().replace(/\s+/g, ' ')}\n`);
  return [
    request.method,
    uriEncodePath(request.path),
    query.join('&'),
    headers.join(''),
    signedHeaders.join(';'),
    header(request, 'x-amz-content-sha256') ?? '',
  ].join('\n');
}
