import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server that listens. */
export interface Listening {
  /** `http://HOST:PORT` */
  readonly endpoint: string;
  readonly port: number;
  /** Stops listening and cuts the connections. */
  close(): Promise<void>;
}

/**
 * Has a server listen: on loopback, where only this machine can reach it, unless another host is named.
 *
 * @param port 0 for any that is free.
 * @throws what the server emits: `EADDRINUSE` if the port is taken.
 */
export async function listenOn(server: Server, port: number, host = '127.0.0.1'): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return { endpoint: `http://${host}:${taken}`, port: taken, close: () => closed(server) };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** A request's body, or nothing if it is longer than `limit` bytes: then the rest of it is not waited for. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
