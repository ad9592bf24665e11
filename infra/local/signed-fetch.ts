import { SignatureV4 } from '@smithy/signature-v4';
import { Sha256 } from './sha256.ts';

type Signer = ConstructorParameters<typeof SignatureV4>[0];

export interface ApiAccess {
  /** Where the HTTP API is: its stage's name belongs to it. */
  readonly api: URL;
  readonly region: Signer['region'];
  readonly credentials: Signer['credentials'];
}

export interface ApiRequest {
  readonly method: string;
  /** Percent-encoded, from the slash on. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

const TIMEOUT = 35_000;

/** Sends a request to the HTTP API, signed by Signature Version 4. Redirects are not followed: they would lead elsewhere. */
export async function signedFetch({ api, region, credentials }: ApiAccess, request: ApiRequest): Promise<Response> {
  const { method, query, body } = request;
  const signer = new SignatureV4({ service: 'execute-api', region, credentials, sha256: Sha256 });
  const path = api.pathname.replace(/\/$/, '') + request.path;
  const { headers } = await signer.sign({
    protocol: api.protocol,
    hostname: api.hostname,
    method,
    path,
    query: Object.fromEntries([...new Set(query.keys())].map((name) => [name, query.getAll(name)])),
    headers: { ...request.headers, host: api.host },
    body,
  });
  const { host: _, ...sent } = headers;
  // As it was signed: a space is no plus.
  const search = [...query].map((pair) => pair.map(escaped).join('=')).join('&');
  const url = new URL(`${path}${search && `?${search}`}`, api);
  const signal = AbortSignal.timeout(TIMEOUT);
  return fetch(url, { method, headers: sent, body: body ? new Uint8Array(body) : null, redirect: 'error', signal });
}

const escaped = (text: string) =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
