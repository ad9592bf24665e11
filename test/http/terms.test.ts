import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import type { ClientRequest } from 'node:http';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { EXT, imageBytes } from '../support/hostile.ts';
import { useQemu } from '../support/use-qemu.ts';
import { API, ask } from './ask.ts';

const pipeline = usePipeline();
const qemu = useQemu();
beforeAll(async () => {
  const put = async (key: string, bytes: Uint8Array) => {
    writeFileSync(join(qemu.folder, key), bytes);
    await pipeline.put(join(qemu.folder, key), key);
  };
  await put('overlay', imageBytes({ backing: 'base', extensions: [{ type: EXT.backingFormat, data: 'raw' }] }));
  await put('base', Buffer.alloc(65_536, 1));
});

const [OURS, OTHERS] = ['000000000000', '111111111111'];
const bucket = () => pipeline.stack.buckets.images;
const through = () => `allow=s3://${bucket()}/&limit=1&`;

describe.each([
  ['images', () => `/images/${bucket()}/overlay?`],
  ['maps', () => `/maps/${bucket()}/overlay?${through()}`],
  ['checks', () => `/checks/${bucket()}/overlay?`],
  ['objects', () => `/objects/${bucket()}?limit=1&`],
])('GET /%s on terms', (_, path) => {
  // Functions that run elsewhere are not heard here.
  it.skipIf(API.endpoint)('asks the store on them, for every file and on every page', async () => {
    const asked: unknown[] = [];
    const look = (message: unknown) => {
      const { request } = message as { readonly request: ClientRequest };
      const terms = ['x-amz-expected-bucket-owner', 'x-amz-request-payer'].map((name) => request.getHeader(name));
      if (request.path.startsWith(`/${bucket()}`)) asked.push(terms);
    };
    subscribe('http.client.request.start', look);
    const first = await ask(pipeline, `${path()}owner=${OURS}&requestPayer=true`);
    expect(first.status).toBe(200);
    const [, next] = /<(.*)>; rel="next"/.exec(first.headers.get('link') ?? '') ?? [];
    if (next) expect((await ask(pipeline, next)).status).toBe(200);
    unsubscribe('http.client.request.start', look);
    expect(asked.length).toBeGreaterThanOrEqual(next ? 2 : 1);
    expect(asked).toEqual(asked.map(() => [OURS, 'requester']));
  });

  it('is not answered from a bucket of another account', async () => {
    expect(await ask(pipeline, `${path()}owner=${OTHERS}`)).toMatchObject({
      status: 403,
      body: { code: 'SOURCE_DENIED' },
    });
  });

  it.each(['owner=me', 'owner=', 'requestPayer=requester'])('refuses what are none: %s', async (terms) => {
    const answer = await ask(pipeline, `${path()}${terms}`);
    expect(answer).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' }, requests: 0 });
    expect(answer.body.at).toBe(`queryStringParameters.${terms.split('=')[0]}`);
  });
});
