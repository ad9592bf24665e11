import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What passed between a client and its store. */
export interface Passed {
  readonly requests: number;
  /** Bytes of bodies, down and up. */
  readonly bytes: number;
}

/** Runs `work` with a store's endpoint that counts what passes. The `Host` header stays as it is signed. */
export async function counted(endpoint: string, work: (endpoint: string) => Promise<unknown>): Promise<Passed> {
  const { hostname, port } = new URL(endpoint);
  let requests = 0;
  let bytes = 0;
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
  };
  const server = createServer((incoming, outgoing) => {
    requests += 1;
    incoming.on('data', count);
    const { method, url, headers } = incoming;
    const forward = request({ hostname, port, method, path: url, headers }, (answer) => {
      answer.on('data', count);
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    forward.on('error', () => outgoing.destroy());
    incoming.on('error', () => forward.destroy());
    incoming.pipe(forward);
  });
  server.requestTimeout = 0;
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return { requests, bytes };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
