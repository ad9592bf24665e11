import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a function answered with, as Lambda's Invoke would tell it; what it streamed as {@link Streamed}. */
export type Outcome =
  | { readonly ok: true; readonly payload: unknown }
  | { readonly ok: false; readonly errorType: string; readonly errorMessage: string };

/** An answer over HTTP that was streamed, once it is whole: what a function URL makes of it. */
export interface Streamed {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface Invocation {
  readonly id: string;
  readonly payload: unknown;
  readonly arn: string;
  /** Milliseconds since 1970. */
  readonly deadline: number;
}

const NEXT = '/2018-06-01/runtime/invocation/next';
const ENDED = /^\/2018-06-01\/runtime\/(?:init\/(error)|invocation\/([^/]+)\/(response|error))$/;

/**
 * Lambda's Runtime API for one execution environment: hands out one invocation at a time, and takes what comes of it.
 *
 * @see AWS Lambda Developer Guide § Using the Lambda runtime API for custom runtimes
 */
export class RuntimeApi {
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #idle: ServerResponse | undefined;
  #running: { readonly invocation: Invocation; readonly ended: PromiseWithResolvers<Outcome> } | undefined;
  readonly #ready = Promise.withResolvers<void>();

  /** Settles when the runtime asks for work for the first time: the function's module is loaded then. */
  readonly ready: Promise<void> = this.#ready.promise;

  /** @returns host and port, as `AWS_LAMBDA_RUNTIME_API` has them. */
  async listen(): Promise<string> {
    // The client takes the connection for a stream when it is invoked, and may begin to send long after.
    this.#server.keepAliveTimeout = 0;
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  invoke(invocation: Invocation): Promise<Outcome> {
    if (this.#running) throw new Error('an execution environment does one invocation at a time');
    const running = { invocation, ended: Promise.withResolvers<Outcome>() };
    this.#running = running;
    if (this.#idle) this.#hand(this.#idle, invocation);
    return running.ended.promise;
  }

  /** Ends what runs, since its process is no more. */
  lost(outcome: Outcome): void {
    this.#end(outcome);
    this.#ready.resolve();
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET' && request.url === NEXT) {
      this.#ready.resolve();
      if (this.#running) this.#hand(response, this.#running.invocation);
      else this.#idle = response;
      return;
    }
    const [, initError, , kind] = ENDED.exec(request.url ?? '') ?? [];
    if (kind === 'response') this.#end(await outcomeOf(request));
    else if (kind === 'error' || initError) this.#end(failure(String(await bytesOf(request))));
    response.writeHead(kind || initError ? 202 : 404, { 'content-type': 'application/json' }).end('{"status":"OK"}');
  }

  #hand(response: ServerResponse, { id, payload, arn, deadline }: Invocation): void {
    this.#idle = undefined;
    response
      .writeHead(200, {
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': id,
        'lambda-runtime-deadline-ms': String(deadline),
        'lambda-runtime-invoked-function-arn': arn,
        'lambda-runtime-trace-id': `Root=1-${id.slice(0, 8)}-${id.replaceAll('-', '').slice(0, 24)};Sampled=0`,
      })
      .end(JSON.stringify(payload));
  }

  #end(outcome: Outcome): void {
    const running = this.#running;
    this.#running = undefined;
    running?.ended.resolve(outcome);
  }
}

async function outcomeOf(request: IncomingMessage): Promise<Outcome> {
  const isStreamed = request.headers['lambda-runtime-function-response-mode'] === 'streaming';
  const bytes = await bytesOf(request).catch(() => undefined);
  if (bytes === undefined) return TRUNCATED;
  if (!isStreamed) return { ok: true, payload: JSON.parse(bytes.toString() || 'null') };
  // What fails after the head was sent is told behind the body.
  const failed = request.trailers['lambda-runtime-function-error-body'];
  if (failed) return failure(Buffer.from(failed, 'base64').toString());
  return { ok: true, payload: streamed(bytes) };
}

const TRUNCATED: Outcome = {
  ok: false,
  errorType: 'Runtime.TruncatedResponse',
  errorMessage: 'the answer broke off',
};

function failure(text: string): Outcome {
  const { errorType, errorMessage } = JSON.parse(text);
  return { ok: false, errorType, errorMessage };
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Eight zeros part the head, which is JSON, from the body. */
const HEAD_END = Buffer.alloc(8);

function streamed(bytes: Buffer): Streamed {
  const end = bytes.indexOf(HEAD_END);
  return { ...JSON.parse(bytes.subarray(0, end).toString()), body: bytes.subarray(end + HEAD_END.length) };
}
