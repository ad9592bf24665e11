import * as z from 'zod';
import { UnqcowError } from '../lib/errors.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { httpHandler, problem } from './_shared/http.ts';
import { methodsOf } from './_shared/routes.ts';

const Request = z.object({
  rawPath: z.string(),
  requestContext: z.object({ stage: z.string(), http: z.object({ method: z.string() }) }),
});

/** All that no other route takes: a method that the path has not, `OPTIONS`, or nothing that is there. */
export const createHandler = (deps: Deps) =>
  httpHandler(deps, Request, async ({ rawPath, requestContext: { stage, http } }) => {
    const path = rawPath.startsWith(`/${stage}/`) ? rawPath.slice(stage.length + 1) : rawPath;
    const methods = methodsOf(path);
    if (methods.length === 0) throw new UnqcowError('NO_SUCH_ROUTE', `there is nothing at ${path}`);
    const allow = [...methods, 'OPTIONS'].join(', ');
    if (http.method === 'OPTIONS') return { statusCode: 204, headers: { allow } };
    return problem(new UnqcowError('METHOD_NOT_ALLOWED', `${path} takes ${allow}`), { allow });
  });

export const handler = onLambda(createHandler);
