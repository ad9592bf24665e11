import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Authorizer } from '../../infra/local/http-api.ts';
import { jwtAuthorizer } from '../../infra/local/jwt-authorizer.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { ask, post } from './ask.ts';

const [ISSUER, AUDIENCE] = ['https://issuer.example/', 'unqcow'];
const { publicKey, privateKey } = await generateKeyPair('RS256');
const stranger = await generateKeyPair('RS256');
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: 'RS256' }] });
const authorizer: Authorizer = jwtAuthorizer({ issuer: ISSUER, audience: AUDIENCE, keys });

const BUCKETS = { images: 'tenants-images', raw: 'tenants-raw', work: 'tenants-work' };
const pipeline = usePipeline({
  buckets: BUCKETS,
  authorizer,
  config: {
    tenantClaim: 'tenant',
    sources: [
      { bucket: BUCKETS.images, prefix: '{tenant}/' },
      { bucket: BUCKETS.images, prefix: 'shared/' },
    ],
    destinations: [{ bucket: BUCKETS.raw, prefix: '{tenant}/' }],
  },
});

async function token(claims: JWTPayload, { key = privateKey, audience = AUDIENCE, expires = '5m' } = {}) {
  const jwt = new SignJWT(claims).setProtectedHeader({ alg: 'RS256' }).setIssuedAt().setIssuer(ISSUER);
  return { authorization: `Bearer ${await jwt.setAudience(audience).setExpirationTime(expires).sign(key)}` };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-tenants-'));
  const path = join(folder, 'disk.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M']);
  for (const key of ['acme/disk', 'globex/disk', 'shared/disk']) await pipeline.put(path, key);
});
afterAll(() => rm(folder, { recursive: true }));

describe('a token', () => {
  it('is not asked for by the console, which tells nothing, and tells its bearer where to look', async () => {
    const page = await fetch(`${pipeline.stack.apiEndpoint}/`);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('<title>unqcow</title>');
    expect((await ask(pipeline, '/places')).status).toBe(401);
    const { body, requests } = await ask(pipeline, '/places', { headers: await token({ tenant: 'acme' }) });
    expect(body).toEqual({
      sources: [
        { bucket: BUCKETS.images, prefix: 'acme/' },
        { bucket: BUCKETS.images, prefix: 'shared/' },
      ],
      destinations: [{ bucket: BUCKETS.raw, prefix: 'acme/' }],
    });
    expect(requests).toBe(0);
  });

  it.each([
    ['is missing', async () => ({})],
    ['is not signed by the issuer', () => token({ tenant: 'acme' }, { key: stranger.privateKey })],
    ['is for another audience', () => token({ tenant: 'acme' }, { audience: 'other' })],
    ['has expired', () => token({ tenant: 'acme' }, { expires: '-1m' })],
  ])('that %s opens nothing: 401', async (_, headers) => {
    expect(await ask(pipeline, `/images/${BUCKETS.images}/acme/disk`, { headers: await headers() })).toMatchObject({
      status: 401,
      requests: 0,
    });
  });

  it.each([undefined, '', '..', '.', 'a/b', 'acme/../globex', '{tenant}', '*', ['acme', 'globex'], 'a'.repeat(65)])(
    'with the tenant %j opens nothing: TENANT_REQUIRED',
    async (tenant) => {
      const headers = await token({ tenant });
      expect(await ask(pipeline, `/images/${BUCKETS.images}/acme/disk`, { headers })).toMatchObject({
        status: 403,
        body: { code: 'TENANT_REQUIRED' },
        requests: 0,
      });
    },
  );
});

describe('a tenant', () => {
  it('reads under its own prefix, and what is shared', async () => {
    const headers = await token({ tenant: 'acme' });
    for (const key of ['acme/disk', 'shared/disk']) {
      expect(await ask(pipeline, `/images/${BUCKETS.images}/${key}`, { headers })).toMatchObject({ status: 200 });
    }
  });

  it.each(['globex/disk', 'acme', 'acmebis/disk', 'disk'])(
    'sees nothing at %s, as if it were not there',
    async (key) => {
      const headers = await token({ tenant: 'acme' });
      expect(await ask(pipeline, `/images/${BUCKETS.images}/${key}`, { headers })).toMatchObject({
        status: 404,
        body: { code: 'SOURCE_NOT_FOUND', detail: `there is no s3://${BUCKETS.images}/${key}` },
        requests: 0,
      });
    },
  );

  it('converts to its own prefix only, and sees no other’s conversion, nor stops it', async () => {
    const [acme, globex] = [await token({ tenant: 'acme' }), await token({ tenant: 'globex' })];
    const source = { bucket: BUCKETS.images, key: 'acme/disk' };
    const to = (key: string) => ({ source, destination: { bucket: BUCKETS.raw, key } });
    expect(await ask(pipeline, '/conversions', post(to('globex/disk.raw'), acme))).toMatchObject({
      status: 404,
      body: { code: 'DESTINATION_NOT_FOUND' },
      requests: 0,
    });
    const { status, headers } = await ask(pipeline, '/conversions', post(to('acme/disk.raw'), acme));
    expect(status).toBe(202);
    const location = headers.get('location') ?? '';
    expect(await ask(pipeline, location, { headers: acme })).toMatchObject({ status: 200 });
    for (const method of ['GET', 'DELETE']) {
      expect(await ask(pipeline, location, { method, headers: globex })).toMatchObject({
        status: 404,
        body: { code: 'CONVERSION_NOT_FOUND' },
      });
    }
    expect(await pipeline.stack.stepFunctions.wait(location.split('/').at(-1) ?? '')).toMatchObject({
      status: 'SUCCEEDED',
    });
  });

  it('lets an image reach nothing of another’s', async () => {
    const request = {
      source: { bucket: BUCKETS.images, key: 'acme/disk' },
      destination: { bucket: BUCKETS.raw, key: 'acme/other.raw' },
      gate: { allow: [`s3://${BUCKETS.images}/globex/`] },
    };
    const answer = await ask(pipeline, '/conversions', post(request, await token({ tenant: 'acme' })));
    expect(answer).toMatchObject({ status: 403, body: { code: 'NOT_ALLOWED' }, requests: 0 });
  });
});
