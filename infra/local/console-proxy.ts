import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { consolePage } from '../../functions/_console/page.ts';
import { MiB } from '../../lib/units.ts';
import { listenOn, readBody } from './loopback.ts';
import { type ApiAccess, signedFetch } from './signed-fetch.ts';

export interface ConsoleProxy {
  /** Where the console is, with the token that it needs in the fragment. */
  readonly url: string;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** What the console asks for. */
const PATHS = /^\/(images|maps|checks|objects|conversions|views)\/|^\/(places|conversions|views|openapi\.json)$/;
const METHODS = ['GET', 'HEAD', 'POST', 'DELETE'];
const PASSED_ON = ['accept', 'content-type', 'idempotency-key'];
const PASSED_BACK = ['content-type', 'location', 'link', 'retry-after', 'x-request-id'];
const BODY_LIMIT = MiB;

/**
 * Serves the console on this machine, and signs what it asks of the HTTP API with this machine's credentials. Nobody else
 * may use those: it listens on loopback, for its own name only, wants a token that only its URL has, and answers
 * no other site's pages.
 */
export async function startConsoleProxy(access: ApiAccess, port = 0): Promise<ConsoleProxy> {
  const token = randomBytes(24).toString('base64url');
  const server = createServer((request, response) => {
    answer(request, access, token)
      .catch((error: Error) => refusal(502, `the API at ${access.api.origin} did not answer: ${error.message}`))
      .then(({ status, headers, body }) =>
        response.writeHead(status, { 'cache-control': 'no-store', ...headers }).end(body),
      )
      .catch(() => response.destroy());
  });
  const { endpoint, close } = await listenOn(server, port);
  return { url: `${endpoint}/#token=${token}`, close };
}

async function answer(request: IncomingMessage, access: ApiAccess, token: string): Promise<Answer> {
  const { method = 'GET', headers, socket } = request;
  const own = `127.0.0.1:${socket.localPort}`;
  if (headers.host !== own) return refusal(421, `this is ${own} only`);
  const site = headers['sec-fetch-site'];
  const isOther = (headers.origin ?? `http://${own}`) !== `http://${own}` || (site ?? 'none') === 'cross-site';
  if (isOther || site === 'same-site') return refusal(403, 'other pages may not ask here');
  const url = new URL(request.url ?? '/', `http://${own}`);
  if (url.pathname === '/' && ['GET', 'HEAD'].includes(method)) return page(method);
  if (!isToken(headers.authorization, token)) return refusal(401, 'open the console by the URL that was printed');
  if (!PATHS.test(url.pathname)) return refusal(404, 'the console asks for nothing there');
  if (!METHODS.includes(method)) return refusal(405, 'the console asks for nothing so');
  const body = await readBody(request, BODY_LIMIT);
  if (body === undefined) return refusal(413, 'the request is too long');
  const sent = { method, path: url.pathname, query: url.searchParams, headers: only(PASSED_ON, headers) };
  const response = await signedFetch(access, { ...sent, body: body.length > 0 ? body : undefined });
  const back = only(PASSED_BACK, Object.fromEntries(response.headers));
  return { status: response.status, headers: back, body: Buffer.from(await response.arrayBuffer()) };
}

async function page(method: string): Promise<Answer> {
  const { html, policy } = await consolePage();
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  };
  return { status: 200, headers, ...(method === 'GET' ? { body: html } : {}) };
}

/** In API Gateway's words, which the console knows. */
const refusal = (status: number, message: string): Answer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ message }),
});

function isToken(authorization: string | undefined, token: string): boolean {
  const [given, wanted] = [Buffer.from(authorization ?? ''), Buffer.from(`Bearer ${token}`)];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function only(names: readonly string[], headers: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]])),
  );
}
