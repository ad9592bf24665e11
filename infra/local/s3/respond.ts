import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Answer } from './operations/operation.ts';
import type { S3Request } from './protocol/request.ts';
import { S3Error } from './s3-error.ts';

/**
 * Sends an answer, at the pace of the client. `sent` hears of all body bytes before the client can have them, so that
 * whoever has an answer finds it counted.
 * @throws if the client goes away
 */
export async function respond(
  request: Pick<S3Request, 'method'>,
  response: ServerResponse,
  answer: Answer,
  sent: (bytes: number) => void,
): Promise<void> {
  const { status, headers = {}, body = '', done } = answer;
  try {
    if (typeof body === 'string') {
      const length = Buffer.byteLength(body);
      const type = body !== '' && { 'Content-Type': 'application/xml' };
      // A HEAD's length is that of the object, in the answer's own headers.
      const hasLength = request.method !== 'HEAD' && status !== 204 && status !== 304;
      response.writeHead(status, { ...type, ...(hasLength && { 'Content-Length': length }), ...headers });
      sent(length);
      response.end(body);
      return;
    }
    response.writeHead(status, { ...headers });
    await pipeline(counted(body, sent), response);
  } finally {
    await done?.();
  }
}

async function* counted(body: AsyncIterable<Buffer>, sent: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    sent(chunk.length);
    yield chunk;
  }
}

/** The answer to what an operation threw. What is not an S3Error is a defect: its message stays here. */
export function errorAnswer(error: unknown, request: Pick<S3Request, 'method' | 'path' | 'id'>): Answer {
  const refusal = error instanceof S3Error ? error : new S3Error('InternalError');
  const bodiless = request.method === 'HEAD' || refusal.status === 304;
  return {
    status: refusal.status,
    headers: refusal.headers,
    ...(!bodiless && { body: refusal.toXml(request.path, request.id) }),
  };
}
