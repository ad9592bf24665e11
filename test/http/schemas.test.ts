import { describe, expect, it } from 'vitest';
import { publishedSchemas } from '../../functions/_shared/published-schemas.ts';

describe('docs/schemas', () => {
  // `vitest run -u test/http/schemas.test.ts` writes them anew.
  it.each(Object.entries(publishedSchemas()))('has %s as it is', async (name, schema) => {
    await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot(`../../docs/schemas/${name}`);
  });
});
