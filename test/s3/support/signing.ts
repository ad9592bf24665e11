import { SignatureV4 } from '@smithy/signature-v4';
import { Sha256 } from '../../../infra/local/sha256.ts';
import type { Target } from '../target.ts';

/** Signs as the SDK does, whatever it is given. */
export function signerFor(target: Pick<Target, 'region' | 'credentials'>): SignatureV4 {
  return new SignatureV4({
    service: 's3',
    region: target.region,
    credentials: target.credentials,
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
}

export interface Presigned {
  readonly method?: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
  readonly signedAt?: Date;
  /** In seconds. */
  readonly expiresIn?: number;
}

/** The path and query of a presigned URL. */
export async function presign(target: Target, path: string, presigned: Presigned = {}): Promise<string> {
  const { method = 'GET', query = {}, headers = {}, signedAt = new Date(), expiresIn = 60 } = presigned;
  const { hostname, host } = new URL(target.endpoint);
  const request = {
    protocol: 'http:',
    hostname,
    method,
    path,
    query,
    headers: { host, 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD', ...headers },
  };
  const options = { expiresIn, signingDate: signedAt, unsignableHeaders: new Set(['content-length']) };
  const signed = await signerFor(target).presign(request, options);
  const parameters = Object.entries(signed.query ?? {}).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`,
  );
  return `${path}?${parameters.join('&')}`;
}
