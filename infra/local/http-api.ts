import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { lambdaContext } from './step-functions/lambda-task.ts';

export type HttpHandler = (
  event: APIGatewayProxyEventV2,
  context: Context,
) => Promise<APIGatewayProxyStructuredResultV2>;

/** By route key, as API Gateway has it: `GET /images/{bucket}/{key+}`. */
export type Routes = Readonly<Record<string, HttpHandler>>;

/** An HTTP API waits 30 s for its function. */
const TIMEOUT = 30_000;

export interface HttpApi {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** An API Gateway HTTP API on loopback: turns requests into payload format 2.0 events and handlers' answers into responses. */
export async function startHttpApi(routes: Routes, port = 0): Promise<HttpApi> {
  const server = createServer((request, response) => {
    answer(routes, request)
      .then(({ statusCode = 200, headers = {}, body = '' }) => {
        response.writeHead(statusCode, headers as Record<string, string>).end(body);
      })
      .catch(() =>
        response.writeHead(500, { 'content-type': 'application/json' }).end('{"message":"Internal Server Error"}'),
      );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => closed(server) };
}

async function answer(routes: Routes, request: IncomingMessage) {
  const url = new URL(request.url ?? '/', 'http://localhost');
  for (const [routeKey, handler] of Object.entries(routes)) {
    const [method, template = ''] = routeKey.split(' ');
    const pathParameters = method === request.method ? match(template, url.pathname) : undefined;
    if (!pathParameters) continue;
    return handler(eventOf(routeKey, url, request, pathParameters), lambdaContext(routeKey, Date.now() + TIMEOUT));
  }
  return { statusCode: 404, headers: { 'content-type': 'application/json' }, body: '{"message":"Not Found"}' };
}

/** `{name}` takes one segment, `{name+}` the rest of the path; both percent-decoded. */
function match(template: string, path: string): Record<string, string> | undefined {
  const names = [...template.matchAll(/\{(\w+)\+?\}/g)].map(([, name = '']) => name);
  const pattern = template.replaceAll(/\{\w+\+\}/g, '(.+)').replaceAll(/\{\w+\}/g, '([^/]+)');
  const found = new RegExp(`^${pattern}$`).exec(path);
  if (!found) return undefined;
  return Object.fromEntries(names.map((name, i) => [name, decode(found[i + 1] ?? '')]));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function eventOf(
  routeKey: string,
  url: URL,
  request: IncomingMessage,
  pathParameters: Record<string, string>,
): APIGatewayProxyEventV2 {
  const query = Object.fromEntries(url.searchParams);
  const method = request.method ?? 'GET';
  const now = new Date();
  return {
    version: '2.0',
    routeKey,
    rawPath: decode(url.pathname),
    rawQueryString: url.search.slice(1),
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
    ...(url.search ? { queryStringParameters: query } : {}),
    pathParameters,
    requestContext: {
      accountId: '000000000000',
      apiId: 'local',
      domainName: 'localhost',
      domainPrefix: 'localhost',
      http: {
        method,
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
    isBase64Encoded: false,
  };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
