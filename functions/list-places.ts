import * as z from 'zod';
import { type Deps, onLambda } from './_shared/deps.ts';
import { httpHandler, json } from './_shared/http.ts';

const Nothing = z.object({ queryStringParameters: z.strictObject({}).optional() });

/** `GET /places`: under which prefixes this caller may read images and write raw disks. Asks nobody. */
export const createHandler = (deps: Deps) =>
  httpHandler(deps, Nothing, async (_, { caller }) => json(200, caller.places));

export const handler = onLambda(createHandler);
