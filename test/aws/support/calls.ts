import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { parseRequest } from '../../../infra/local/s3/protocol/request.ts';
import { operationOf } from '../../../infra/local/s3/route.ts';
import type { LocalFunction } from '../../../infra/local/step-functions/server.ts';

/** One request to an AWS service, and who made it. */
export interface Call {
  readonly caller: string;
  readonly service: 's3' | 'states' | 'secretsmanager' | 'kms';
  /** As the service's API names it: `UploadPartCopy`, `StartExecution`. */
  readonly operation: string;
  readonly status: number;
  readonly bucket?: string;
  readonly key?: string;
  readonly versionId?: string | undefined;
  /** Whether an object is written with tags. */
  readonly tagged?: boolean;
  /** Whether an object is written only over the one that was seen. */
  readonly overSeen?: boolean;
  /** Of a read: the ARN of the secret. */
  readonly secret?: string;
  /** Of a copy. */
  readonly from?: { readonly bucket: string; readonly key: string; readonly versionId?: string | undefined };
}

const caller = new AsyncLocalStorage<string>();

/** Runs a function under its own name, by which its requests are told apart from all others in this process. */
export const named =
  (name: string, run: LocalFunction): LocalFunction =>
  async (payload, context) => {
    const answer = await caller.run(name, () => run(payload, context));
    const { body } = (answer ?? {}) as { readonly body?: unknown };
    const streamed = typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
    return streamed ? { ...(answer as object), body: within(name, body as AsyncIterable<unknown>) } : answer;
  };

/** What a function streams it makes while it is read, by whomever. */
async function* within(name: string, body: AsyncIterable<unknown>): AsyncGenerator<unknown> {
  const iterator = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await caller.run(name, () => iterator.next());
      if (done) return;
      yield value;
    }
  } finally {
    await iterator.return?.(); // whoever reads may go away before its end
  }
}

/**
 * Notes every request that functions and the state machine of this process send to AWS's services from now on, whichever
 * client sends it: Node tells of each, in the context of whoever sent it. Those of the tests themselves are left out.
 */
export function recordCalls(): readonly Call[] {
  const calls: Call[] = [];
  const callers = new WeakMap<ClientRequest, string>();
  const bodies = new WeakMap<ClientRequest, unknown>();
  subscribe('http.client.request.created', (message) => {
    const { request } = message as { request: ClientRequest };
    const { end } = request;
    // AWS JSON goes out at once; what is put into S3 need not be seen.
    request.end = (...given: unknown[]) => {
      if (request.hasHeader('x-amz-target')) bodies.set(request, given[0]);
      return Reflect.apply(end, request, given);
    };
  });
  subscribe('http.client.request.start', (message) => {
    const { request } = message as { request: ClientRequest };
    const by = callerOf(request) ?? caller.getStore();
    if (by !== undefined) callers.set(request, by);
  });
  subscribe('http.client.response.finish', (message) => {
    const { request, response } = message as { request: ClientRequest; response: IncomingMessage };
    const by = callers.get(request);
    if (by !== undefined) calls.push(callOf(by, request, response.statusCode ?? 0, bodies.get(request)));
  });
  return calls;
}

/** The state machine has no context of its own, but its client says who it is, also where a function under test starts one. Making buckets is not its work. */
function callerOf(request: ClientRequest): string | undefined {
  const isBucket = /^\/[^/?]*\/?$/.test(request.path);
  const isMachine = String(request.getHeader('user-agent')).includes('step-functions');
  return isMachine && !isBucket ? 'state-machine' : undefined;
}

const SERVICES: Readonly<Record<string, Call['service']>> = {
  AWSStepFunctions: 'states',
  secretsmanager: 'secretsmanager',
  TrentService: 'kms',
};

function callOf(by: string, request: ClientRequest, status: number, body: unknown): Call {
  const target = request.getHeader('x-amz-target');
  if (typeof target === 'string') {
    const [prefix = '', operation = ''] = target.split('.');
    const service = SERVICES[prefix];
    if (service === undefined) throw new Error(`${target} is of a service that is not known here`);
    const { SecretId: secret } = JSON.parse(Buffer.from(body as Uint8Array).toString());
    return { caller: by, service, operation, status, secret };
  }
  const headers = Object.fromEntries(
    Object.entries(request.getHeaders()).map(([name, value]) => [name, String(value)]),
  );
  const message = { url: request.path, method: request.method, headers } as unknown as IncomingMessage;
  const parsed = parseRequest(message, '', { proceed: () => undefined, received: () => undefined });
  const operation = operationOf(parsed);
  if (operation === undefined) throw new Error(`${request.method} ${request.path} is no operation that is known here`);
  const { bucket, key, query } = parsed;
  const source = headers['x-amz-copy-source'];
  return {
    ...{ caller: by, service: 's3', operation, status, bucket, key, versionId: query.get('versionId') },
    ...{ tagged: 'x-amz-tagging' in headers, overSeen: 'if-match' in headers && request.method !== 'GET' },
    ...(source === undefined ? {} : { from: copySourceOf(source) }),
  };
}

function copySourceOf(header: string) {
  const [, bucket = '', key = '', versionId] = /^\/?([^/]+)\/(.+?)(?:\?versionId=(.*))?$/s.exec(header) ?? [];
  return { bucket, key: decodeURIComponent(key), versionId };
}
