/**
 * A strict S3 for one machine: what AWS documents and this server cannot do, it refuses by name.
 *
 *     server.ts      listens
 *     exchange.ts    sees a request through: parse, check the signature, route, answer
 *     route.ts       which operation a request asks for; what it may not ask for
 *     operations/    one operation, or a few that belong together, a file; `index.ts` is the table of them all
 *     protocol/      S3 over HTTP: requests, signatures, bodies and their checksums, conditions, ranges, XML
 *     checksums/     CRCs and SHAs, and how CRCs of pieces combine
 *     store/         what lies on disk, and nothing of HTTP
 *
 * On disk there are blobs, which never change, and manifests, which say what objects and parts are made of: extents of
 * blobs, and holes where there are only zeros. So a copy, or the completion of an upload, writes a manifest and moves no
 * data, and zeros take no space. A manifest is renamed into place: a kill at any moment leaves every object whole or
 * absent. Nothing is synced: a power failure may lose what was last written.
 *
 *     blobs/ID                       bytes; beside them ID.crc, the CRC32 of each 64 KiB
 *     buckets/NAME/bucket.json
 *     buckets/NAME/objects/HASH.json an object: key, size, ETag, headers, checksum, extents; HASH.VERSION.json a version
 *     uploads/ID/upload.json         a multipart upload, and NUMBER.json for each of its parts
 *     unfinished/                    manifests being written; emptied at each start
 *
 * Not here: policies, several users, object lock, and the CRC64NVME that S3 computes for objects that come without any
 * checksum. Storage class, encryption and the number of tags are reported as they were asked for, but nothing is
 * encrypted, and what is archived can be neither read nor restored.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenOn } from '../loopback.ts';
import { type EventDelivery, EventSender } from './event-delivery.ts';
import type { S3EventBridgeEvent, S3NotificationEvent } from './events.ts';
import { see } from './exchange.ts';
import type { LateErrors } from './late-error.ts';
import { Metrics, type S3Metrics } from './metrics.ts';
import type { Context } from './operations/operation.ts';
import type { Credentials } from './protocol/signature.ts';
import { openStore } from './store/store.ts';

export type { EventDelivery } from './event-delivery.ts';
export type { S3EventBridgeEvent, S3NotificationEvent } from './events.ts';

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
  /** Called for each object created, soon after it is on disk, as S3 notifies Lambda, SQS and SNS. Must not throw. */
  readonly onCreated?: (event: S3NotificationEvent) => void;
  /** The same as EventBridge gets it: another shape, and the key as it is. */
  readonly onEventBridge?: (event: S3EventBridgeEvent) => void;
  /** Whether events come twice, or out of order, as AWS reserves the right to. */
  readonly eventDelivery?: EventDelivery;
  /** Asked before requests that S3 may answer with 200 and an error in the body: see {@link LateError}. */
  readonly lateError?: LateErrors;
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
  const { dir, port = 0, host = '127.0.0.1', region = 'us-east-1', credentials, lateError } = options;
  const store = await openStore(dir);
  const metrics = new Metrics();
  const targets = { notified: options.onCreated, bridged: options.onEventBridge };
  const events = new EventSender(region, targets, options.eventDelivery ?? {});
  const context: Context = { store, region, created: (created) => events.send(created) };
  const underWay = new Set<Promise<void>>();
  const serve = (message: IncomingMessage, response: ServerResponse, isWaiting: boolean) => {
    const served = see({ message, response, isWaiting, context, credentials, metrics, lateError });
    underWay.add(served);
    void served.finally(() => underWay.delete(served));
  };
  // An upload takes as long as it takes, so requests have no time limit.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (message, response) =>
    serve(message, response, false),
  );
  server.on('checkContinue', (message, response) => serve(message, response, true));
  const listening = await listenOn(server, port, host);
  return {
    endpoint: listening.endpoint,
    port: listening.port,
    metrics: () => metrics.snapshot(),
    close: async () => {
      await Promise.all([listening.close(), ...underWay]);
      events.flush();
    },
  };
}
