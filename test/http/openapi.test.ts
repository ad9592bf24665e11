import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, it } from 'vitest';
import { openApiDocument } from '../../functions/_shared/openapi.ts';
import { ROUTES } from '../../functions/_shared/routes.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { ask } from './ask.ts';
import { contractOf } from './contract.ts';

const pipeline = usePipeline();

describe('GET /openapi.json', () => {
  it('is valid OpenAPI 3.1', async () => {
    const { body } = await ask(pipeline, '/openapi.json');
    const validator = new Validator();
    expect(await validator.validate(structuredClone(body))).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
  });

  it('is what the answers of all other tests are held against', async () => {
    const { body, requests } = await ask(pipeline, '/openapi.json');
    expect(body).toEqual(JSON.parse(JSON.stringify(openApiDocument())));
    expect(requests).toBe(0);
  });

  it('describes every route, and no other', async () => {
    const { body } = await ask(pipeline, '/openapi.json');
    const described = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const routes = Object.keys(ROUTES).filter((route) => route !== '$default');
    expect(described.sort()).toEqual(routes.map((route) => route.replace('+}', '}')).sort());
  });

  it('would not let another answer pass', async () => {
    const contract = contractOf(openApiDocument() as never);
    const request = { method: 'GET', path: '/images/bucket/a/key' };
    const type = 'application/json';
    expect(contract(request, { status: 200, type, body: {} })).toContain('virtual-size');
    expect(contract(request, { status: 404, type: 'application/problem+json', body: { code: 'NONE' } })).toContain(
      'code',
    );
    expect(contract(request, { status: 404, type, body: {} })).toContain('answers 404');
  });

  it('names each operation once', async () => {
    const { body } = await ask(pipeline, '/openapi.json');
    const ids = Object.values(body.paths as object).flatMap((methods) =>
      Object.values(methods as object).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });
});
