import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServiceError } from './service-error.ts';

type Actions = Readonly<Record<string, (request: Readonly<Record<string, unknown>>) => unknown>>;

/** Bytes of a request's body: an execution's input of 256 KiB, escaped as a JSON string, fits well. */
const BODY_LIMIT = 1024 * 1024;
const TARGET = /^AWSStepFunctions\.(\w+)$/;

/**
 * Serves actions over AWS JSON 1.0, on loopback only: signatures are not looked at, so nobody else may reach it.
 *
 * @param port 0 for any that is free.
 */
export async function listen(actions: Actions, port: number): Promise<{ endpoint: string; close(): Promise<void> }> {
  const server = createServer((request, response) => void respond(actions, request, response));
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject).listen(port, '127.0.0.1', () => listening.resolve());
  await listening.promise;
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { endpoint, close: () => close(server) };
}

async function close(server: Server): Promise<void> {
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  server.closeAllConnections();
  await closed.promise;
}

async function respond(actions: Actions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const name = TARGET.exec(String(request.headers['x-amz-target']))?.[1] ?? '';
    const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
    if (action === undefined) throw new ServiceError('UnknownOperationException', `there is no action ${name} here`);
    send(response, 200, await action(parse(await readBody(request))));
  } catch (error) {
    const { name, message } = error as Error;
    if (error instanceof ServiceError) send(response, 400, { __type: `com.amazonaws.sfn#${name}`, message });
    else send(response, 500, { __type: 'com.amazonaws.sfn#InternalFailure', message });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    chunks.push(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (length > BODY_LIMIT)
      throw new ServiceError('ValidationException', `the request is longer than ${BODY_LIMIT} bytes`);
  }
  return Buffer.concat(chunks).toString();
}

function parse(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through to the same answer as any other body that is not an object.
  }
  throw new ServiceError('SerializationException', 'the request is not a JSON object');
}
