import {
  type ClientRequest,
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll } from 'vitest';

/** What goes wrong with one request. */
export type Fault =
  | { readonly kind: 'pass' }
  /** The proxy answers by itself; the store never hears of the request. */
  | { readonly kind: 'answer'; readonly status: number; readonly headers?: Record<string, string>; body: string }
  /**
   * The connection is reset before a byte of the answer is sent: once the first bytes of the request's body have come,
   * once all have come, or once the store has done what was asked. In the first two cases it never hears of the request.
   */
  | { readonly kind: 'reset'; readonly once: 'body begun' | 'body taken' | 'done' }
  /** The answer is whole and right, but slow: its first byte, or each of so many pieces, comes after so many milliseconds. */
  | { readonly kind: 'slow'; readonly pieces: number; readonly pause: number }
  /** Nothing is answered, ever. */
  | { readonly kind: 'silence' }
  | Cut
  /** The store's answer, with other headers, status or body. */
  | { readonly kind: 'alter'; readonly alter: (answer: StoreAnswer) => StoreAnswer };

/** Headers and so many bytes of the body are sent; then the connection is reset, or ended, or nothing more comes. */
interface Cut {
  readonly kind: 'cut';
  readonly after: number;
  readonly by: 'reset' | 'end' | 'stall';
  /** A chunked body may be cut after its last byte, before it says that this was the last. */
  readonly chunked?: boolean;
  /** Sent instead of the store's. */
  readonly headers?: IncomingHttpHeaders;
}

export interface StoreAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const passes: Fault = { kind: 'pass' };
export const resets: Fault = { kind: 'reset', once: 'body taken' };
export const resetsAfterwards: Fault = { kind: 'reset', once: 'done' };
export const resetsUpload: Fault = { kind: 'reset', once: 'body begun' };
export const isLate = (pause: number): Fault => ({ kind: 'slow', pieces: 1, pause });
export const drips = (pieces: number, pause: number): Fault => ({ kind: 'slow', pieces, pause });
export const isSilent: Fault = { kind: 'silence' };
export const resetsAfter = (bytes: number): Fault => ({ kind: 'cut', after: bytes, by: 'reset' });
export const endsAfter = (bytes: number): Fault => ({ kind: 'cut', after: bytes, by: 'end' });
export const stallsAfter = (bytes: number): Fault => ({ kind: 'cut', after: bytes, by: 'stall' });
export const alters = (alter: (answer: StoreAnswer) => StoreAnswer): Fault => ({ kind: 'alter', alter });
export const answersHeaders = (headers: IncomingHttpHeaders): Fault =>
  alters((answer) => ({ ...answer, headers: { ...answer.headers, ...headers } }));

/** The answer of a store that knows no additional checksums. */
export const knowsNoChecksums: Fault = alters(({ status, headers: { 'transfer-encoding': _, ...headers }, body }) => {
  const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('x-amz-checksum-')));
  if (body.length === 0) return { status, headers: kept, body };
  const said = Buffer.from(body.toString().replace(/<(Checksum\w+)>[^<]*<\/\1>/g, ''));
  return { status, headers: { ...kept, 'content-length': String(said.length) }, body: said };
});

/** A refusal as S3 writes it. */
export const answers = (status: number, code: string, headers: Record<string, string> = {}): Fault => ({
  kind: 'answer',
  status,
  headers: { 'Content-Type': 'application/xml', ...headers },
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>as the test wants it</Message></Error>`,
});

/** An answer that no S3 wrote: a gateway's page of HTML. */
export const answersText = (status: number, body: string): Fault => ({
  kind: 'answer',
  status,
  headers: { 'Content-Type': 'text/html' },
  body,
});

export interface SeenRequest {
  readonly method: string;
  /** With its query, percent-encoded as it came. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The client's end of the connection: the same for requests that share one. */
  readonly port: number | undefined;
  /** Whether the client closed the connection before the answer was whole. */
  hungUp: boolean;
}

type Match = (request: SeenRequest) => boolean;

/**
 * An S3 with faults: hands every request on to a real one, except where a test has said what is to go wrong. The Host
 * header stays as the client signed it.
 */
export class FaultyS3 {
  readonly requests: SeenRequest[] = [];
  #rules: { readonly match: Match; readonly faults: Fault[] }[] = [];
  readonly #server = createServer({ keepAliveTimeout: 60_000 }, (message, response) => this.#serve(message, response));
  #upstream = '';

  /** What goes wrong with the next requests, one fault each. Those after them pass. */
  next(...faults: Fault[]): void {
    this.when(() => true, ...faults);
  }

  /** What goes wrong with the next requests of a kind. */
  when(match: Match, ...faults: Fault[]): void {
    this.#rules.push({ match, faults });
  }

  /** Forgets what was seen and what was to go wrong. */
  reset(): void {
    this.requests.length = 0;
    this.#rules = [];
  }

  /** The `Range` header of each request. */
  get ranges(): (string | undefined)[] {
    return this.requests.map(({ headers }) => headers.range);
  }

  async start(upstream: string): Promise<void> {
    this.#upstream = upstream;
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #serve(message: IncomingMessage, response: ServerResponse): void {
    const { method = '', url: path = '', headers } = message;
    const seen: SeenRequest = { method, path, headers, port: message.socket.remotePort, hungUp: false };
    this.requests.push(seen);
    response.on('close', () => {
      seen.hungUp ||= !response.writableFinished;
    });
    const fault = this.#rules.find(({ match, faults }) => faults.length > 0 && match(seen))?.faults.shift() ?? passes;
    if (fault.kind === 'pass') this.#forward(message, response, (answer) => pass(answer, response));
    else if (fault.kind === 'alter')
      this.#forward(message, response, (answer) => unlessGone(response, alter(answer, response, fault.alter)));
    else if (fault.kind === 'cut')
      this.#forward(message, response, (answer) => unlessGone(response, cut(answer, response, fault)));
    else if (fault.kind === 'slow')
      this.#forward(message, response, (answer) => unlessGone(response, drip(answer, response, fault)));
    else if (fault.kind === 'reset' && fault.once === 'done')
      this.#forward(message, response, (answer) => void answer.resume().on('end', () => drop(response)));
    else if (fault.kind === 'reset' && fault.once === 'body begun')
      message.once('data', () => drop(response)).once('end', () => drop(response));
    else if (fault.kind === 'reset') message.resume().on('end', () => drop(response));
    else if (fault.kind === 'answer') {
      message.resume().on('end', () => response.writeHead(fault.status, fault.headers).end(fault.body));
    } else message.resume();
  }

  #forward(message: IncomingMessage, response: ServerResponse, answered: (answer: IncomingMessage) => void): void {
    const { hostname, port } = new URL(this.#upstream);
    const { expect: _, connection: __, ...headers } = message.headers;
    const options = { hostname, port, method: message.method ?? '', path: message.url ?? '', headers, agent: false };
    let isAnswered = false;
    const onward: ClientRequest = httpRequest(options, (answer) => {
      isAnswered = true;
      answered(answer);
    });
    // Swift ends its answer to a HEAD as if it had a body: bytes that nobody waits for.
    onward.on('error', () => (isAnswered && message.method === 'HEAD' ? undefined : response.destroy()));
    response.on('close', () => onward.destroy());
    message.pipe(onward);
  }
}

function pass(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 0, withoutConnection(answer.headers));
  answer.on('error', () => response.destroy()).pipe(response);
}

async function alter(
  answer: IncomingMessage,
  response: ServerResponse,
  change: (answer: StoreAnswer) => StoreAnswer,
): Promise<void> {
  const body = Buffer.concat(await answer.toArray());
  const changed = change({ status: answer.statusCode ?? 0, headers: withoutConnection(answer.headers), body });
  response.writeHead(changed.status, changed.headers).end(changed.body);
}

async function cut(answer: IncomingMessage, response: ServerResponse, { after, by, chunked, headers }: Cut) {
  const { 'content-length': length, ...others } = withoutConnection(answer.headers);
  response.writeHead(answer.statusCode ?? 0, { ...others, ...(!chunked && { 'content-length': length }), ...headers });
  const body = Buffer.concat(await answer.toArray());
  const stop = { reset: () => drop(response), end: () => response.socket?.end(), stall: () => {} }[by];
  if (after === 0) response.flushHeaders();
  response.write(body.subarray(0, after), stop);
}

/** A client that hangs up leaves nobody to answer. */
function unlessGone(response: ServerResponse, answered: Promise<void>): void {
  answered.catch(() => response.destroy());
}

async function drip(
  answer: IncomingMessage,
  response: ServerResponse,
  { pieces, pause }: Extract<Fault, { readonly kind: 'slow' }>,
): Promise<void> {
  const body = Buffer.concat(await answer.toArray());
  const step = Math.max(1, Math.ceil(body.length / pieces));
  if (pieces > 1) response.writeHead(answer.statusCode ?? 0, withoutConnection(answer.headers)).flushHeaders();
  for (let at = 0; at === 0 || at < body.length; at += step) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (pieces === 1) response.writeHead(answer.statusCode ?? 0, withoutConnection(answer.headers));
    response.write(body.subarray(at, at + step));
  }
  response.end();
}

const drop = (response: ServerResponse) => response.socket?.resetAndDestroy();

function withoutConnection({ connection: _, 'keep-alive': __, ...headers }: IncomingHttpHeaders): IncomingHttpHeaders {
  return headers;
}

/** A proxy for one file of tests, in front of the store that it is given. Without faults at the start of each test. */
export function useFaultyS3(upstream: () => string): FaultyS3 {
  const faulty = new FaultyS3();
  beforeAll(() => faulty.start(upstream()));
  afterEach(() => faulty.reset());
  afterAll(() => faulty.close());
  return faulty;
}
