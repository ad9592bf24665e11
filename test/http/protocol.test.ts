import { describe, expect, it } from 'vitest';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { API, ask, post } from './ask.ts';

const logged: { message: string; extra: Record<string, unknown> }[] = [];
const info = (message: string, extra: Record<string, unknown>) => void logged.push({ message, extra });
const pipeline = usePipeline({
  log: { info, warn: info, error: info } as never,
  config: { corsOrigins: ['https://console.example'] },
});
const PROBLEM = 'application/problem+json';
/** serverless-offline has one id for all requests, answers preflights by itself, for all pages, and logs elsewhere. */
const onlyHere = it.skipIf(API.endpoint);

describe('the HTTP API', () => {
  it.each([
    ['GET', '/nothing', 404, 'NO_SUCH_ROUTE'],
    ['GET', '/images', 404, 'NO_SUCH_ROUTE'],
    ['POST', '/images/bucket/key', 405, 'METHOD_NOT_ALLOWED'],
    ['PUT', '/conversions/some-id', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/conversions', 405, 'METHOD_NOT_ALLOWED'],
  ])('answers %s %s with %i %s', async (method, path, status, code) => {
    const answer = await ask(pipeline, path, { method });
    expect(answer).toMatchObject({ status, body: { status, code, type: `urn:unqcow:error:${code}` }, requests: 0 });
    expect(answer.headers.get('content-type')).toBe(PROBLEM);
  });

  it('says which methods a path takes', async () => {
    const refused = await ask(pipeline, '/conversions/some-id', { method: 'PATCH' });
    expect(refused.headers.get('allow')).toBe('GET, HEAD, DELETE, OPTIONS');
  });

  it.each(['text/html', 'application/json;q=0', 'image/*'])(
    'does not answer who accepts only %s: 406',
    async (accept) => {
      const answer = await ask(pipeline, '/images/bucket/key', { headers: { accept } });
      expect(answer).toMatchObject({ status: 406, body: { code: 'NOT_ACCEPTABLE' }, requests: 0 });
    },
  );

  it.each(['*/*', 'application/*', 'text/html, application/problem+json;q=0.5'])(
    'answers who accepts %s',
    async (accept) => {
      expect(await ask(pipeline, '/images/bucket/key', { headers: { accept } })).toMatchObject({ status: 404 });
    },
  );

  it('answers a HEAD as its GET, without the body', async () => {
    const get = await ask(pipeline, '/images/bucket/key');
    const head = await ask(pipeline, '/images/bucket/key', { method: 'HEAD' });
    expect(head).toMatchObject({ status: get.status, body: '' });
    expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'));
  });

  onlyHere('sends no answer for others to keep, to frame or to guess at, and each with its id', async () => {
    const { headers } = await ask(pipeline, '/images/bucket/key');
    expect(Object.fromEntries(headers)).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'strict-transport-security': expect.stringContaining('max-age='),
      'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
  });

  onlyHere('lets the pages ask that it is told to, and no others', async () => {
    const preflight = (origin: string) =>
      ask(pipeline, '/images/bucket/key', {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'GET' },
      });
    const [ours, others] = [await preflight('https://console.example'), await preflight('https://evil.example')];
    expect(ours.status).toBe(204);
    expect(ours.headers.get('access-control-allow-origin')).toBe('https://console.example');
    expect(others.headers.get('access-control-allow-origin')).toBeNull();
    const answer = await ask(pipeline, '/images/bucket/key', { headers: { origin: 'https://console.example' } });
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://console.example');
    expect(answer.headers.get('vary')).toBe('Origin');
  });

  it.each([
    ['text/plain', '{}', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['application/json', '{', 400, 'BAD_REQUEST'],
    ['application/json', '[]', 400, 'BAD_REQUEST'],
    ['application/json; charset=utf-8', `{"a":"${'x'.repeat(256 * 1024)}"}`, 413, 'BODY_TOO_LARGE'],
  ])('refuses a body of %s: %#', async (type, body, status, code) => {
    const answer = await ask(pipeline, '/conversions', post(body, { 'content-type': type }));
    expect(answer).toMatchObject({ status, body: { code }, requests: 0 });
  });

  it('refuses a parameter that it does not know', async () => {
    const answer = await ask(pipeline, '/images/bucket/key?versionid=1');
    expect(answer).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST', at: 'queryStringParameters' } });
  });

  onlyHere('logs every answer with its id and what it has cost', async () => {
    const { headers, requests } = await ask(pipeline, `/images/${pipeline.stack.buckets.images}/missing.qcow2`);
    const line = logged.findLast(({ message }) => message === 'answered');
    expect(line?.extra).toMatchObject({
      requestId: headers.get('x-request-id'),
      status: 404,
      requests: 1,
      retries: 0,
    });
    expect(requests).toBe(1);
  });
});
