import middy, { type MiddlewareObj } from '@middy/core';
import negotiation from '@middy/http-content-negotiation';
import cors from '@middy/http-cors';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import type * as z from 'zod';
import { UnqcowError } from '../../lib/errors.ts';
import { toJson } from '../../lib/format/json.ts';
import { inCall, s3Usage } from './call.ts';
import { Caller } from './caller.ts';
import type { Deps } from './deps.ts';
import { asUnqcowError, logRefusal, ON_TIMEOUT } from './errors.ts';
import { problemOf } from './problem.ts';

type Answer = APIGatewayProxyStructuredResultV2;
type HttpMiddleware = MiddlewareObj<APIGatewayProxyEventV2, Answer>;

const JSON_TYPE = 'application/json';
const PROBLEM_TYPE = 'application/problem+json';

/** Answers are about somebody's disks: no cache keeps them, and no browser makes anything else of them. */
export const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
};

export function json(statusCode: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return { statusCode, headers: { 'content-type': JSON_TYPE, ...headers }, body: toJson(body) };
}

/** Where the next page is, as RFC 8288 has it. */
export function nextLink({ rawPath, queryStringParameters }: APIGatewayProxyEventV2, cursor: string | undefined) {
  if (cursor === undefined) return {};
  const { key, prefix, delimiter, limit, owner, requestPayer } = queryStringParameters ?? {};
  const said = { key, prefix, delimiter, limit, owner, requestPayer, cursor };
  const query = new URLSearchParams(Object.entries(said).filter(([, value]) => value) as never);
  const path = rawPath.split('/').map(encodeURIComponent).join('/');
  return { link: `<${path}?${query}>; rel="next"` };
}

/** What a handler gets beside the request. */
export interface HttpCall {
  readonly caller: Caller;
  readonly event: APIGatewayProxyEventV2;
  readonly context: Context;
}

/**
 * One route's function: parses the request, answers in JSON, errors as RFC 9457 `application/problem+json`; every answer
 * is logged with what it cost.
 */
export function httpHandler<S extends z.ZodType>(
  deps: Deps,
  request: S,
  handle: (request: z.infer<S>, call: HttpCall) => Promise<Answer>,
) {
  const answer = middy<APIGatewayProxyEventV2, Answer>(ON_TIMEOUT)
    .use(corsFor(deps.config.corsOrigins))
    .use(problems(deps.log))
    .use(acceptsJson() as HttpMiddleware)
    .handler(async (event, context) => {
      const said = withoutNulls(event);
      const caller = new Caller(deps.config, said);
      return handle(request.parse(withLists(said)), { caller, event: said, context });
    });
  return answering(deps, async (event, context) => {
    const answered = await answer(event, context);
    return { ...answered, headers: { ...answered.headers, ...HEADERS } };
  });
}

/** One invocation over HTTP: its answer has its id, none to a HEAD has a body, and each is logged with what it cost. */
export function answering(
  { log, emit }: Pick<Deps, 'log' | 'emit'>,
  answer: (event: APIGatewayProxyEventV2, context: Context) => Promise<Answer>,
) {
  return (event: APIGatewayProxyEventV2, context: Context): Promise<Answer> => {
    const { requestId, http } = event.requestContext;
    return inCall(emit, { requestId }, async () => {
      const started = Date.now();
      const { statusCode = 200, headers, body = '' } = await answer(event, context);
      const cost = { ...s3Usage(), milliseconds: Date.now() - started };
      log.info('answered', { method: http.method, path: event.rawPath, status: statusCode, ...cost });
      const all = { ...headers, 'x-request-id': requestId };
      return { statusCode, headers: all, body: http.method === 'HEAD' ? '' : body };
    });
  };
}

/** What a request has nothing of, API Gateway leaves out; others that speak its format say null. */
const withoutNulls = (event: APIGatewayProxyEventV2): APIGatewayProxyEventV2 =>
  Object.fromEntries(Object.entries(event).filter(([, value]) => value !== null)) as never;

/**
 * A parameter that is given more than once, as a list. API Gateway makes one text of it, with commas between; but there may
 * be commas in each.
 */
function withLists(event: APIGatewayProxyEventV2) {
  const { rawQueryString, queryStringParameters: joined } = event;
  if (joined === undefined) return event;
  const given = new URLSearchParams(rawQueryString);
  const lists = [...new Set(given.keys())].map((name) => [name, given.getAll(name)] as const);
  const repeated = Object.fromEntries(lists.filter(([, each]) => each.length > 1));
  return { ...event, queryStringParameters: { ...joined, ...repeated } };
}

/** Where the gateway answers preflights itself it also puts its own headers in the place of these. */
function corsFor(origins: readonly string[]): HttpMiddleware[] {
  if (origins.length === 0) return [];
  const allow = cors({
    disableBeforePreflightResponse: false,
    origins: [...origins],
    methods: 'GET,HEAD,POST,DELETE',
    headers: 'authorization,content-type,idempotency-key,x-amz-date,x-amz-security-token',
    exposeHeaders: 'location,link,retry-after,x-request-id',
    maxAge: 600,
  });
  return [allow as HttpMiddleware];
}

const acceptsJson = () =>
  negotiation({
    parseCharsets: false,
    parseEncodings: false,
    parseLanguages: false,
    availableMediaTypes: [JSON_TYPE, PROBLEM_TYPE],
  });

/** Errors as problems: `type` is stable, `code` is what clients match on. */
function problems(log: Deps['log']): HttpMiddleware {
  return {
    onError: (request) => {
      const error = asHttpError(request.error);
      logRefusal(log, error);
      request.response = problem(error);
    },
  };
}

export function problem(error: UnqcowError, headers: Record<string, string> = {}): Answer {
  const { status: statusCode, retryable } = error;
  const type = { 'content-type': PROBLEM_TYPE, ...(retryable ? { 'retry-after': '5' } : {}) };
  return { statusCode, headers: { ...type, ...headers }, body: toJson(problemOf(error)) };
}

/** Middy's negotiation throws errors with a status, as Express does. */
function asHttpError(error: unknown): UnqcowError {
  if ((error as { statusCode?: number } | undefined)?.statusCode !== 406) return asUnqcowError(error);
  return new UnqcowError('NOT_ACCEPTABLE', `what the request accepts is neither ${JSON_TYPE} nor anything like it`);
}
