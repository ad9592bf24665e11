import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { UnqcowError } from '../../lib/errors.ts';
import { KiB } from '../../lib/units.ts';

/** Bytes: what an execution takes for input. */
const LIMIT = 256 * KiB;

/** @throws UnqcowError `UNSUPPORTED_MEDIA_TYPE`, `BODY_TOO_LARGE`, `BAD_REQUEST` if a request's body is not JSON of moderate size. */
export function jsonBody({ headers, body = '', isBase64Encoded }: APIGatewayProxyEventV2): unknown {
  const type = headers['content-type'] ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new UnqcowError('UNSUPPORTED_MEDIA_TYPE', `the body is ${type || 'of no stated type'}, not application/json`);
  }
  const text = isBase64Encoded ? Buffer.from(body, 'base64').toString() : body;
  if (Buffer.byteLength(text) > LIMIT) {
    throw new UnqcowError('BODY_TOO_LARGE', `the body is longer than ${LIMIT} bytes`, { at: 'body' });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UnqcowError('BAD_REQUEST', 'the body is not JSON', { at: 'body', cause });
  }
}
