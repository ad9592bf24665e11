import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a function answered with, as Lambda's Invoke would tell it. */
export type Outcome =
  | { readonly ok: true; readonly payload: unknown }
  | { readonly ok: false; readonly errorType: string; readonly errorMessage: string };

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
    const body: Buffer[] = [];
    for await (const chunk of request) body.push(chunk as Buffer);
    const payload = JSON.parse(Buffer.concat(body).toString() || 'null');
    if (kind === 'response') this.#end({ ok: true, payload });
    else if (kind === 'error' || initError)
      this.#end({ ok: false, errorType: payload.errorType, errorMessage: payload.errorMessage });
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
