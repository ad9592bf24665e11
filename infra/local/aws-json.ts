import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { MiB } from '../../lib/units.ts';
import { type Listening, listenOn, readBody } from './loopback.ts';
import { ServiceError } from './step-functions/service-error.ts';

type Actions = Readonly<Record<string, (request: Readonly<Record<string, unknown>>) => unknown>>;

/** Bytes of a request's body: an execution's input of 256 KiB, escaped as a JSON string, fits well. */
const BODY_LIMIT = MiB;

/** How a service speaks AWS JSON. */
export interface Protocol {
  /** What stands before the action's name in `X-Amz-Target`. */
  readonly target: string;
  readonly version: '1.0' | '1.1';
  /** What stands before an error's name. */
  readonly errors: string;
}

/**
 * Serves a service's actions over AWS JSON, on loopback only: signatures are not looked at, so nobody else may reach it.
 *
 * @param port 0 for any that is free.
 */
export function listen(protocol: Protocol, actions: Actions, port: number): Promise<Listening> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', `application/x-amz-json-${protocol.version}`);
    void respond(protocol, actions, request, response);
  });
  return listenOn(server, port);
}

async function respond(
  { target, errors }: Protocol,
  actions: Actions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const asked = String(request.headers['x-amz-target']);
    const name = asked.startsWith(`${target}.`) ? asked.slice(target.length + 1) : '';
    const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
    if (action === undefined) throw new ServiceError('UnknownOperationException', `there is no action ${name} here`);
    send(response, 200, await action(await parse(request)));
  } catch (error) {
    const { name, message } = error as Error;
    if (error instanceof ServiceError) send(response, 400, { __type: `${errors}${name}`, message });
    else send(response, 500, { __type: `${errors}InternalFailure`, message });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  response.writeHead(status).end(JSON.stringify(body));
}

async function parse(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const body = await readBody(request, BODY_LIMIT);
  if (!body) throw new ServiceError('ValidationException', `the request is longer than ${BODY_LIMIT} bytes`);
  try {
    const value: unknown = JSON.parse(body.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through to the same answer as any other body that is not an object.
  }
  throw new ServiceError('SerializationException', 'the request is not a JSON object');
}
