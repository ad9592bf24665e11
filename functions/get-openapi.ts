import * as z from 'zod';
import { type Deps, onLambda } from './_shared/deps.ts';
import { httpHandler, json } from './_shared/http.ts';
import { openApiDocument } from './_shared/openapi.ts';

const Nothing = z.object({ queryStringParameters: z.strictObject({}).optional() });

/** `GET /openapi.json`: what the API takes and answers. Asks nobody. */
export const createHandler = (deps: Deps) => {
  let document: unknown;
  return httpHandler(deps, Nothing, async () => {
    document ??= openApiDocument();
    return json(200, document);
  });
};

export const handler = onLambda(createHandler);
