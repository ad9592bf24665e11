import { expect } from 'vitest';
import { openApiDocument } from '../../functions/_shared/openapi.ts';
import type { Pipeline } from '../pipeline/use-pipeline.ts';
import { contractOf } from './contract.ts';

/** What `GET /openapi.json` publishes; a test holds the two together. */
const contract = contractOf(openApiDocument() as never);

/** Where the HTTP API is asked, if not of the local stack. Another suite sets it to run these tests over something else. */
export const API: { endpoint?: string } = {};

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of all kinds
  readonly body: any;
  /** Requests that the store served meanwhile, of all kinds. */
  readonly requests: number;
}

/** Asks the HTTP API, counts what it asks the store, and holds the answer against the API's published description. */
export async function ask(pipeline: Pipeline, path: string, init: RequestInit = {}): Promise<Answer> {
  const before = servedBy(pipeline).requests;
  const response = await fetch(`${API.endpoint ?? pipeline.stack.apiEndpoint}${path}`, init);
  const text = await response.text();
  const { status, headers } = response;
  const requests = servedBy(pipeline).requests - before;
  const body = text && JSON.parse(text);
  const { method = 'GET' } = init;
  // Some add a charset, which JSON knows nothing of.
  const type = headers.get('content-type')?.split(';')[0] ?? null;
  expect(contract({ method, path: new URL(response.url).pathname }, { status, type, body })).toBeUndefined();
  return { status, headers, body, requests };
}

export const post = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

/** What the store was asked for since it was started: requests of all kinds, and bytes that went out. */
export function servedBy({ stack }: Pipeline): { readonly requests: number; readonly bytes: number } {
  const { requests = {}, bytesOut = 0 } = stack.s3?.metrics() ?? {};
  return { requests: Object.values(requests).reduce((sum, count) => sum + count, 0), bytes: bytesOut };
}
