/**
 * A strict S3 for one machine: what AWS documents and this server cannot do, it refuses by name.
 *
 *     server.ts      listens, and sees every request through: parse, check the signature, route, answer
 *     route.ts       which operation a request asks for; what it may not ask for
 *     operations/    one operation, or a few that belong together, a file; `index.ts` is the table of them all
 *     protocol/      S3 over HTTP: requests, signatures, bodies and their checksums, conditions, ranges, XML
 *     store/         what lies on disk, and nothing of HTTP
 *
 * On disk there are blobs, which never change, and manifests, which say what objects and parts are made of: extents of
 * blobs, and holes where there are only zeros. So a copy, or the completion of an upload, writes a manifest and moves no
 * data, and zeros take no space. A manifest is renamed into place: a kill at any moment leaves every object whole or
 * absent. Nothing is synced: a power failure may lose what was last written.
 *
 *     blobs/ID                       bytes; beside them ID.crc, the CRC32 of each 64 KiB
 *     buckets/NAME/bucket.json
 *     buckets/NAME/objects/HASH.json an object: key, size, ETag, headers, checksum, extents
 *     uploads/ID/upload.json         a multipart upload, and NUMBER.json for each of its parts
 *     unfinished/                    manifests being written; emptied at each start
 *
 * Not here: versions, presigned URLs, signed chunks, CRC32C and CRC64NVME, policies, several users.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createdEvent, type S3NotificationEvent } from './events.ts';
import { Metrics, type S3Metrics } from './metrics.ts';
import { ROUTES } from './operations/index.ts';
import type { Answer, Context } from './operations/operation.ts';
import { parseRequest, type S3Request } from './protocol/request.ts';
import { type Credentials, checkSignature } from './protocol/signature.ts';
import { errorAnswer, respond } from './respond.ts';
import { checkHeaders, operationOf } from './route.ts';
import { S3Error } from './s3-error.ts';
import { openStore } from './store/store.ts';

export type { S3NotificationEvent } from './events.ts';

export interface LocalS3Options {
  /** Where the data lies. Made if missing. One server at a time may use it. */
  readonly dir: string;
  /** 0, the default, takes any free port. */
  readonly port?: number;
  /** 127.0.0.1 by default. */
  readonly host?: string;
  /** The one region that requests may be signed for: us-east-1 by default. */
  readonly region?: string;
  readonly credentials: Credentials;
  /** Called once for each object created, soon after it is on disk. Must not throw. */
  readonly onCreated?: (event: S3NotificationEvent) => void;
}

export interface LocalS3 {
  /** `http://HOST:PORT` */
  readonly endpoint: string;
  readonly port: number;
  metrics(): S3Metrics;
  /** Stops listening, cuts the connections, and waits until what was under way has ended. */
  close(): Promise<void>;
}

/** Opens the data folder and listens. @throws if the port is taken or the folder cannot be used */
export async function startLocalS3(options: LocalS3Options): Promise<LocalS3> {
  const { dir, port = 0, host = '127.0.0.1', region = 'us-east-1', credentials, onCreated } = options;
  const store = await openStore(dir);
  const metrics = new Metrics();
  const created: Context['created'] = (cause, bucket, object) => {
    if (onCreated !== undefined) setImmediate(onCreated, createdEvent(region, cause, bucket, object));
  };
  const context: Context = { store, region, created };
  const underWay = new Set<Promise<void>>();
  const serve = (message: IncomingMessage, response: ServerResponse, isWaiting: boolean) => {
    const served = see({ message, response, isWaiting, context, credentials, metrics });
    underWay.add(served);
    void served.finally(() => underWay.delete(served));
  };
  // An upload takes as long as it takes, so requests have no time limit.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (message, response) =>
    serve(message, response, false),
  );
  server.on('checkContinue', (message, response) => serve(message, response, true));
  const address = await listen(server, port, host);
  return {
    endpoint: `http://${host}:${address.port}`,
    port: address.port,
    metrics: () => metrics.snapshot(),
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await Promise.all([closed, ...underWay]);
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

interface Exchange {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** The client sends its body only once it is told to: `Expect: 100-continue`. */
  readonly isWaiting: boolean;
  readonly context: Context;
  readonly credentials: Credentials;
  readonly metrics: Metrics;
}

/** One request from its first byte to the last of its answer. Never rejects: a client that went away gets nothing. */
async function see({ message, response, isWaiting, context, credentials, metrics }: Exchange): Promise<void> {
  const id = randomBytes(8).toString('hex').toUpperCase();
  response.setHeader('x-amz-request-id', id);
  response.setHeader('Server', 'unqcow-local-s3');
  let waiting = isWaiting;
  const proceed = () => {
    if (waiting) response.writeContinue();
    waiting = false;
  };
  const transfer = { proceed, received: (bytes: number) => metrics.received(bytes) };
  let answer: Answer;
  let request: Pick<S3Request, 'id' | 'method' | 'path'> = {
    id,
    method: message.method ?? '',
    path: message.url ?? '',
  };
  try {
    const parsed = parseRequest(message, id, transfer);
    request = parsed;
    answer = await answerTo(parsed, context, credentials, metrics);
  } catch (error) {
    // A defect, unless the client went away: nobody else would hear of it.
    if (!(error instanceof S3Error) && error instanceof Error && !message.destroyed) process.emitWarning(error);
    answer = errorAnswer(error, request);
  }
  // Whoever waits for leave to send a body and gets an answer instead may send it or not: the connection is of no more use.
  if (waiting) response.setHeader('Connection', 'close');
  const sent = (bytes: number) => metrics.sent(bytes);
  await respond(request, response, answer, sent).catch(() => response.destroy());
}

async function answerTo(
  request: S3Request,
  context: Context,
  credentials: Credentials,
  metrics: Metrics,
): Promise<Answer> {
  const name = operationOf(request);
  metrics.requested(name ?? 'NotImplemented');
  checkSignature(request, credentials, context.region);
  const route = name === undefined ? undefined : ROUTES[name];
  if (route === undefined) throw new S3Error('NotImplemented');
  checkHeaders(request);
  return route.run(request, context);
}
