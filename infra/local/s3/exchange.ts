import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type LateErrors, withLateError } from './late-error.ts';
import type { Metrics } from './metrics.ts';
import { ROUTES } from './operations/index.ts';
import type { Answer, Context } from './operations/operation.ts';
import { withoutPresigning } from './protocol/presigned.ts';
import { parseRequest, type S3Request } from './protocol/request.ts';
import { type Credentials, checkSignature } from './protocol/signature.ts';
import { errorAnswer, respond } from './respond.ts';
import { checkHeaders, operationOf } from './route.ts';
import { S3Error } from './s3-error.ts';

/** One request, and what it takes to answer it. */
export interface Exchange {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  /** The client sends its body only once it is told to: `Expect: 100-continue`. */
  readonly isWaiting: boolean;
  readonly context: Context;
  readonly credentials: Credentials;
  readonly metrics: Metrics;
  readonly lateError: LateErrors | undefined;
}

/** One request from its first byte to the last of its answer. Never rejects: a client that went away gets nothing. */
export async function see(exchange: Exchange): Promise<void> {
  const { message, response, isWaiting, metrics } = exchange;
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
    answer = await answerTo(parsed, exchange);
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
  parsed: S3Request,
  { context, credentials, metrics, lateError }: Omit<Exchange, 'message'>,
): Promise<Answer> {
  const request = withoutPresigning(parsed);
  const name = operationOf(request);
  metrics.requested(name ?? 'NotImplemented');
  const signed = checkSignature(parsed, credentials, context.region);
  const route = name === undefined ? undefined : ROUTES[name];
  if (name === undefined || route === undefined) throw new S3Error('NotImplemented');
  checkHeaders(request);
  const run = () => route.run({ ...request, signed }, context);
  return lateError === undefined ? run() : withLateError(name, request, lateError, run);
}
