import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConsoleProxy, startConsoleProxy } from '../../infra/local/console-proxy.ts';
import { Sha256 } from '../../infra/local/sha256.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'session' };
const region = 'eu-central-1';

/** What reached the API, by what was signed of it. */
let arrived: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[] = [];
const api = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const { method = '', url = '', headers } = request;
  arrived.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
  if (url.includes('elsewhere')) response.writeHead(302, { location: 'http://127.0.0.1:1/stolen' }).end();
  else response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'a=b' }).end('{"places":[]}');
});
let proxy: ConsoleProxy;
let origin: string;
let token: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  const { port } = api.address() as AddressInfo;
  proxy = await startConsoleProxy({ api: new URL(`http://127.0.0.1:${port}/stage`), region, credentials });
  const url = new URL(proxy.url);
  origin = url.origin;
  token = url.hash.replace('#token=', '');
});
afterAll(async () => {
  await proxy.close();
  api.close();
});
beforeEach(() => {
  arrived = [];
});

/** Asks with any headers: fetch would not let one say another Host. */
function ask(path: string, headers: Record<string, string> = {}, { method = 'GET', body = '' } = {}) {
  return new Promise<{ status: number; headers: IncomingMessage['headers']; body: string }>((resolve, reject) => {
    const request = httpRequest(`${origin}${path}`, { method, headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
    });
    request.once('error', reject).end(body);
  });
}
const known = (more: Record<string, string> = {}) => ({ authorization: `Bearer ${token}`, ...more });

describe('unqcow console', () => {
  it('serves the page to whoever is on this machine, with a policy that lets it ask nobody else', async () => {
    const { status, headers, body } = await ask('/');
    expect(status).toBe(200);
    expect(body).toContain('<title>unqcow</title>');
    expect(headers['content-security-policy']).toContain("connect-src 'self'");
    expect(body).not.toContain(token);
  });

  it('signs what it passes on, as the API sees it', async () => {
    const path = '/images/vms?key=a+b%2F%2F%C3%A4%2B(1)*.qcow2';
    expect(await ask(path, known())).toMatchObject({ status: 200, body: '{"places":[]}' });
    const [{ method, url, headers }] = arrived as [(typeof arrived)[0]];
    expect(url).toBe('/stage/images/vms?key=a%20b%2F%2F%C3%A4%2B%281%29%2A.qcow2');
    expect(headers.authorization).toBe(await signatureOf({ method, url, headers, body: '' }));
    expect(headers['x-amz-security-token']).toBe('session');
    expect(JSON.stringify(headers)).not.toContain(token);
  });

  it('signs a parameter that is given more than once', async () => {
    await ask('/maps/vms?place=a%3Ds3%3A%2F%2Fvms%2Fa%2C1&place=b%3Ds3%3A%2F%2Fvms%2Fb&limit=1', known());
    const [seen] = arrived as [(typeof arrived)[0]];
    expect(new URL(seen.url, origin).searchParams.getAll('place')).toEqual(['a=s3://vms/a,1', 'b=s3://vms/b']);
    expect(seen.headers.authorization).toBe(await signatureOf(seen));
  });

  it('passes bodies on, and of headers only those that it knows', async () => {
    const headers = known({ 'content-type': 'application/json', 'idempotency-key': 'k', cookie: 'c=1', origin });
    const answer = await ask('/conversions', headers, { method: 'POST', body: '{"source":{}}' });
    expect(answer.headers['set-cookie']).toBeUndefined();
    const [seen] = arrived as [(typeof arrived)[0]];
    expect(seen).toMatchObject({ method: 'POST', body: '{"source":{}}', headers: { 'idempotency-key': 'k' } });
    expect(seen.headers.cookie).toBeUndefined();
    expect(seen.headers.authorization).toBe(await signatureOf(seen));
  });

  it.each([
    ['without its token', '/places', {}, 401],
    ['with another token', '/places', { authorization: 'Bearer x' }, 401],
    ['under another name', '/places', { host: 'evil.example' }, 421],
    ['for the page under another name', '/', { host: 'evil.example' }, 421],
    ['from another site', '/places', { origin: 'https://evil.example' }, 403],
    ['from a page of nowhere', '/places', { origin: 'null' }, 403],
    ['across sites', '/places', { 'sec-fetch-site': 'cross-site' }, 403],
    ['from another port of this machine', '/places', { 'sec-fetch-site': 'same-site' }, 403],
    ['for what is not the API', '/admin', {}, 404],
    ['for what lies beside it', '/../places', { authorization: 'Bearer x' }, 401],
  ])('signs nothing that is asked %s', async (_, path, headers, status) => {
    const full = status === 401 ? headers : known(headers as Record<string, string>);
    expect((await ask(path, full)).status).toBe(status);
    expect(arrived).toEqual([]);
  });

  it('signs for the API alone: a redirect is not followed', async () => {
    expect((await ask('/objects/elsewhere', known())).status).toBe(502);
    expect(arrived).toHaveLength(1);
  });

  it('takes no body that is longer than any request', async () => {
    const body = 'x'.repeat(2 ** 20 + 1);
    expect((await ask('/conversions', known(), { method: 'POST', body })).status).toBe(413);
    expect(arrived).toEqual([]);
  });
});

/** The signature that belongs to a request as it arrived. */
async function signatureOf({ method, url, headers, body }: (typeof arrived)[0]): Promise<string> {
  const { pathname, searchParams, hostname } = new URL(url, 'http://127.0.0.1');
  const names = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '')?.[1]?.split(';') ?? [];
  expect(names).toEqual(expect.arrayContaining(['host', 'x-amz-date', 'x-amz-security-token']));
  const signer = new SignatureV4({ service: 'execute-api', region, credentials, sha256: Sha256 });
  const stamp = String(headers['x-amz-date']).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5');
  const own = names.filter((name) => !name.startsWith('x-amz-'));
  const query = Object.fromEntries([...searchParams.keys()].map((name) => [name, searchParams.getAll(name)]));
  const signed = await signer.sign(
    {
      ...{ protocol: 'http:', hostname, method, path: pathname, query },
      headers: Object.fromEntries(own.map((name) => [name, String(headers[name])])),
      body: body === '' ? undefined : body,
    },
    { signingDate: new Date(stamp) },
  );
  return String(signed.headers.authorization);
}
