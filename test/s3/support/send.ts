import { createHash, createHmac } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Target } from '../target.ts';

/** A request as the SDK would not send it. */
export interface RawRequest {
  readonly method: string;
  /** Percent-encoded. */
  readonly path: string;
  readonly query?: Record<string, string>;
  /** Signed with the rest. `x-amz-content-sha256` is UNSIGNED-PAYLOAD unless given. */
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  readonly signedAt?: Date;
  /** Changes what goes out after it was signed. */
  readonly tamper?: (headers: Record<string, string>) => void;
  /** Sends only so many bytes of the body, then hangs up. */
  readonly cutAfter?: number;
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
  const { hostname, port, host } = new URL(target.endpoint);
  const body = raw.body ?? '';
  const length = raw.headers?.['transfer-encoding'] === undefined && {
    'content-length': String(Buffer.byteLength(body)),
  };
  const signer = new SignatureV4({
    service: 's3',
    region: target.region,
    credentials: target.credentials,
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
  const unsigned = {
    protocol: 'http:',
    hostname,
    method: raw.method,
    path: raw.path,
    query: raw.query ?? {},
    headers: { host, ...length, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', ...raw.headers },
  };
  const signed = await signer.sign(unsigned, { ...(raw.signedAt && { signingDate: raw.signedAt }) });
  const headers = { ...signed.headers };
  raw.tamper?.(headers);
  const query = Object.entries(raw.query ?? {}).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
  );
  const path = query.length === 0 ? raw.path : `${raw.path}?${query.join('&')}`;
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, method: raw.method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const status = response.statusCode ?? 0;
        const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1];
        resolve({
          status,
          headers: response.headers,
          text,
          summary: code === undefined ? `${status}` : `${status} ${code}`,
        });
      });
    });
    request.on('error', reject);
    if (raw.cutAfter === undefined) request.end(body);
    else request.write(Buffer.from(body).subarray(0, raw.cutAfter), () => setTimeout(() => request.destroy(), 50));
  });
}

type Data = string | ArrayBuffer | ArrayBufferView;

/** SHA-256, or with a key HMAC, in the form that the signer wants. */
class Sha256 {
  readonly #hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>;

  constructor(key?: Data) {
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(key));
  }

  update(data: Data): void {
    this.#hash.update(bytesOf(data));
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {}
}

function bytesOf(data: Data): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
