import { createServer, type IncomingMessage } from 'node:http';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { isPublic, matchPath } from '../../functions/_shared/routes.ts';
import { MiB } from '../../lib/units.ts';
import { type Listening, listenOn, readBody } from './loopback.ts';
import { lambdaContext } from './step-functions/lambda-task.ts';

export type HttpHandler = (
  event: APIGatewayProxyEventV2,
  context: Context,
) => Promise<APIGatewayProxyStructuredResultV2>;

/** By route key, as API Gateway has it: `GET /images/{bucket}/{key+}`, `$default`. */
export type Routes = Readonly<Record<string, HttpHandler>>;

/** What of a request's token API Gateway hands on, if it lets it pass; else it answers 401. */
export type Authorizer = (authorization: string | undefined) => Promise<Authorized | undefined>;

export interface Authorized {
  readonly jwt: { readonly claims: Readonly<Record<string, string>>; readonly scopes: string[] | null };
}

export interface HttpApiOptions {
  readonly port?: number | undefined;
  /** None lets everybody pass: only this machine can ask. */
  readonly authorizer?: Authorizer | undefined;
}

/** An HTTP API waits 30 s for its function, and takes bodies of up to 10 MB. */
const TIMEOUT = 30_000;
const BODY_LIMIT = 10 * MiB;

/** An API Gateway HTTP API on loopback: turns requests into payload format 2.0 events and handlers' answers into responses. */
export function startHttpApi(routes: Routes, { port = 0, authorizer }: HttpApiOptions = {}): Promise<Listening> {
  const server = createServer((request, response) => {
    answer(routes, request, authorizer)
      .catch(() => gatewayAnswer(500, 'Internal Server Error'))
      .then(({ statusCode = 200, headers = {}, body = '' }) => {
        response.writeHead(statusCode, headers as Record<string, string>).end(body);
      })
      .catch(() => response.destroy());
  });
  return listenOn(server, port);
}

async function answer(routes: Routes, request: IncomingMessage, authorizer: Authorizer | undefined) {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const found = routeOf(routes, request.method ?? 'GET', url.pathname);
  if (!found) return gatewayAnswer(404, 'Not Found');
  const { routeKey, handler, pathParameters } = found;
  const guard = isPublic(routeKey) ? undefined : authorizer;
  const authorized = await guard?.(request.headers.authorization);
  if (guard && !authorized) return gatewayAnswer(401, 'Unauthorized', { 'www-authenticate': 'Bearer' });
  const body = await readBody(request, BODY_LIMIT);
  if (!body) return gatewayAnswer(413, 'Request Entity Too Large');
  const event = { ...eventOf(routeKey, url, request, authorized), ...asText(request, body) };
  return handler(
    { ...event, ...(Object.keys(pathParameters).length > 0 ? { pathParameters } : {}) },
    lambdaContext(routeKey, Date.now() + TIMEOUT),
  );
}

/** API Gateway's own words, which are no problem+json. */
function gatewayAnswer(statusCode: number, message: string, headers = {}): APIGatewayProxyStructuredResultV2 {
  return { statusCode, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ message }) };
}

/** The most specific route: whole segments before the rest of a path, `$default` last. */
function routeOf(routes: Routes, method: string, path: string) {
  const fits = Object.entries(routes).flatMap(([routeKey, handler]) => {
    const [routeMethod, template] = routeKey.split(' ');
    const pathParameters = template !== undefined && routeMethod === method ? matchPath(template, path) : undefined;
    return pathParameters ? [{ routeKey, handler, pathParameters }] : [];
  });
  const [first] = fits.sort((a, b) => Number(a.routeKey.includes('+')) - Number(b.routeKey.includes('+')));
  const other = routes.$default;
  return first ?? (other && { routeKey: '$default', handler: other, pathParameters: {} });
}

/** Text and JSON as they are, all else in base64. */
function asText({ headers }: IncomingMessage, body: Buffer) {
  if (body.length === 0) return { isBase64Encoded: false };
  const isText = /^(text\/|application\/(.*\+)?(json|xml|javascript)\b)/.test(headers['content-type'] ?? 'text/plain');
  return { body: body.toString(isText ? 'utf8' : 'base64'), isBase64Encoded: !isText };
}

export function eventOf(routeKey: string, url: URL, request: IncomingMessage, authorized: Authorized | undefined) {
  const query: Record<string, string> = {};
  // A parameter that is given twice comes as one, with a comma.
  for (const [name, value] of url.searchParams) query[name] = name in query ? `${query[name]},${value}` : value;
  const now = new Date();
  return {
    version: '2.0',
    routeKey,
    rawPath: decodedPath(url),
    rawQueryString: url.search.slice(1),
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
    ...(url.search ? { queryStringParameters: query } : {}),
    requestContext: {
      accountId: '000000000000',
      apiId: 'local',
      ...(authorized ? { authorizer: authorized } : {}),
      domainName: 'localhost',
      domainPrefix: 'localhost',
      http: {
        method: request.method ?? 'GET',
        path: url.pathname,
        protocol: 'HTTP/1.1',
        sourceIp: '127.0.0.1',
        userAgent: request.headers['user-agent'] ?? '',
      },
      requestId: crypto.randomUUID(),
      routeKey,
      stage: '$default',
      time: now.toISOString(),
      timeEpoch: now.getTime(),
    },
  };
}

function decodedPath({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}
