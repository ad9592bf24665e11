import type { MiddlewareObj } from '@middy/core';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { ErrorCodes } from '../../lib/errors.ts';
import { toJson } from '../../lib/format/json.ts';
import type { Deps } from './deps.ts';
import { asUnqcowError } from './errors.ts';

export function json(statusCode: number, body: unknown): APIGatewayProxyStructuredResultV2 {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: toJson(body) };
}

/** Errors as RFC 9457 `application/problem+json`, with our code. */
export function problems(log: Deps['log']): MiddlewareObj<APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2> {
  return {
    onError: (request) => {
      const error = asUnqcowError(request.error);
      const { code, message: detail, at, status } = error;
      log[status >= 500 ? 'error' : 'info'](detail, { code, at, error: error.cause as Error });
      const body = {
        type: `urn:unqcow:error:${code}`,
        title: ErrorCodes[code].means,
        status,
        detail,
        code,
        ...(at ? { at } : {}),
      };
      request.response = {
        statusCode: status,
        headers: { 'content-type': 'application/problem+json' },
        body: toJson(body),
      };
    },
  };
}
