import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { Target } from '../target.ts';
import { signerFor } from './signing.ts';

/** A request as the SDK would not send it. */
export interface RawRequest {
  readonly method: string;
  /** Percent-encoded. */
  readonly path: string;
  readonly query?: Record<string, string>;
  /** Signed with the rest. `x-amz-content-sha256` is UNSIGNED-PAYLOAD unless given. */
  readonly headers?: Record<string, string>;
  /** Or a function of the signed headers. */
  readonly body?: string | Buffer | ((headers: Record<string, string>) => Buffer);
  readonly signedAt?: Date;
  /** Changes what goes out after it was signed. */
  readonly tamper?: (headers: Record<string, string>) => void;
  /** Sends only so many bytes of the body, then hangs up. */
  readonly cutAfter?: number;
  /** Does this when the server begins to read the body, and sends it only after that. */
  readonly halfway?: () => Promise<unknown>;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** `STATUS CODE` with the code of the XML body. */
  readonly summary: string;
}

/** Signs and sends a request over a connection of its own. */
export async function send(target: Target, raw: RawRequest): Promise<RawAnswer> {
  const { hostname, host } = new URL(target.endpoint);
  const length = raw.headers?.['transfer-encoding'] === undefined &&
    typeof raw.body !== 'function' && { 'content-length': String(Buffer.byteLength(raw.body ?? '')) };
  const unsigned = {
    protocol: 'http:',
    hostname,
    method: raw.method,
    path: raw.path,
    query: raw.query ?? {},
    headers: { host, ...length, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', ...raw.headers },
  };
  const signed = await signerFor(target).sign(unsigned, { ...(raw.signedAt && { signingDate: raw.signedAt }) });
  const headers = { ...signed.headers };
  if (raw.halfway !== undefined) headers.expect = '100-continue';
  raw.tamper?.(headers);
  const query = Object.entries(raw.query ?? {}).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
  );
  const path = query.length === 0 ? raw.path : `${raw.path}?${query.join('&')}`;
  const body = Buffer.from(typeof raw.body === 'function' ? raw.body(headers) : (raw.body ?? ''));
  return exchange(target, { method: raw.method, path, headers }, (request) => {
    if (raw.cutAfter !== undefined)
      request.write(body.subarray(0, raw.cutAfter), () => setTimeout(() => request.destroy(), 50));
    else if (raw.halfway === undefined) request.end(body);
    else
      void begun(request)
        .then(raw.halfway)
        .then(() => request.end(body));
  });
}

/** Waits until the server says that it goes on to the body; not for ever, as a server need not say so. */
function begun(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    request.once('continue', resolve);
    setTimeout(resolve, 5000).unref();
    request.flushHeaders();
  });
}

interface Line {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers?: Record<string, string>;
}

/** Sends a request as it is. `write` sends its body; without it there is none. */
export function exchange(
  target: Pick<Target, 'endpoint'>,
  { method, path, headers = {} }: Line,
  write: (request: ClientRequest) => void = (request) => request.end(),
): Promise<RawAnswer> {
  const { hostname, port } = new URL(target.endpoint);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const status = response.statusCode ?? 0;
        const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1];
        const summary = code === undefined ? `${status}` : `${status} ${code}`;
        resolve({ status, headers: response.headers, text, summary });
      });
    });
    request.on('error', reject);
    write(request);
  });
}
