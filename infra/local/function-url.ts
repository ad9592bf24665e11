import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { StreamedHandler } from '../../functions/_shared/streaming.ts';
import { eventOf } from './http-api.ts';
import { type Listening, listenOn } from './loopback.ts';
import { lambdaContext } from './step-functions/lambda-task.ts';

const TIMEOUT = 900_000;

/** A Lambda's function URL that streams, on loopback. Whoever reaches it may ask: the function looks for itself. */
export function startFunctionUrl(handler: StreamedHandler, port = 0): Promise<Listening> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const event = { ...eventOf('$default', url, request, undefined), isBase64Encoded: false };
    request.resume();
    handler(event, lambdaContext('view-disk', Date.now() + TIMEOUT))
      .then(async ({ statusCode, headers, body }) => {
        response.writeHead(statusCode, headers).flushHeaders();
        if (!body || request.method === 'HEAD') response.end();
        else await pipeline(Readable.from(body, { objectMode: false }), response);
      })
      .catch(() => response.destroy());
  });
  return listenOn(server, port);
}
