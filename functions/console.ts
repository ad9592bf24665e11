import { Logger } from '@aws-lambda-powertools/logger';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { consolePage } from './_console/page.ts';
import { withCallKeys } from './_shared/call.ts';
import type { Deps } from './_shared/deps.ts';
import { answering, HEADERS } from './_shared/http.ts';
import { emfEmitter } from './_shared/metrics.ts';

/**
 * `GET /`: the web console, a page that anybody may have since it holds nothing. What it shows it asks of the other routes,
 * by the token of whoever looks at it. It may run its own script only, and ask nobody but where it came from.
 */
export const createHandler = (deps: Pick<Deps, 'log' | 'emit'>) =>
  answering(deps, async (event) => {
    const { html, policy, etag } = await consolePage();
    const headers = {
      ...HEADERS,
      'cache-control': 'no-cache',
      'content-security-policy': policy,
      'content-type': 'text/html; charset=utf-8',
      etag,
    };
    if (event.headers['if-none-match'] === etag) return { statusCode: 304, headers };
    return { statusCode: 200, headers, body: html };
  });

let made: ReturnType<typeof createHandler> | undefined;

/** Not by `onLambda`: it has no use for a configuration, or for S3, and is loaded the sooner without. */
export const handler = (
  event: APIGatewayProxyEventV2,
  context: Context,
): Promise<APIGatewayProxyStructuredResultV2> => {
  made ??= createHandler({
    log: withCallKeys(new Logger({ serviceName: 'unqcow' })),
    emit: emfEmitter(context.functionName),
  });
  return made(event, context);
};
