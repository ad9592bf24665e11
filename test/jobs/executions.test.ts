import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../lib/errors.ts';
import { type ExecutionStatus, failureOf, openExecutions } from '../../lib/jobs/executions.ts';

const ended = (error: string | undefined, cause: string, status: ExecutionStatus = 'FAILED') =>
  failureOf({ status, error, cause, startedAt: new Date(), input: {} });

describe('why an execution ended', () => {
  it('is what a function of ours said, without its trace', () => {
    const cause = JSON.stringify({ errorType: 'NOT_QCOW', errorMessage: 'it is gzip', trace: ['at …'] });
    expect(ended('NOT_QCOW', cause)).toEqual({ code: 'NOT_QCOW', message: 'it is gzip' });
  });

  it.each<[string, ErrorCode]>([
    ['Lambda.TooManyRequestsException', 'TOO_MANY_REQUESTS'],
    ['States.Timeout', 'TIMED_OUT'],
    ['Sandbox.Timedout', 'TIMED_OUT'],
    ['Lambda.ClientExecutionTimeoutException', 'TIMED_OUT'],
    ['Lambda.ServiceException', 'STATE_MACHINE_UNAVAILABLE'],
    ['Lambda.AWSLambdaException', 'STATE_MACHINE_UNAVAILABLE'],
    ['Lambda.SdkClientException', 'STATE_MACHINE_UNAVAILABLE'],
    ['Lambda.Unknown', 'STATE_MACHINE_UNAVAILABLE'],
    ['Runtime.ExitError', 'STATE_MACHINE_UNAVAILABLE'],
    ['Runtime.OutOfMemory', 'STATE_MACHINE_UNAVAILABLE'],
    ['States.ExceedToleratedFailureThreshold', 'STATE_MACHINE_UNAVAILABLE'],
  ])('is no defect where a service says that it was %s', (error, code) => {
    expect(ended(error, 'as it says')).toEqual({ code, message: `${error}: as it says` });
  });

  // A path that leads nowhere, a payload that is too long, a name from nowhere.
  it.each(['States.Runtime', 'States.DataLimitExceeded', 'TypeError', 'toString'])(
    'is a defect, by its name, where nothing else is known: %s',
    (error) => {
      expect(ended(error, 'why')).toEqual({ code: 'INTERNAL', message: `${error}: why` });
    },
  );

  it('needs no cause', () => {
    expect(ended('Runtime.ExitError', '').message).toBe('Runtime.ExitError');
  });

  it('is the time, or whoever stopped it', () => {
    expect(ended('States.Timeout', '', 'TIMED_OUT').message).toBe('the conversion took longer than it may');
    expect(ended('ABORTED', 'by hand', 'ABORTED')).toEqual({ code: 'ABORTED', message: 'by hand' });
  });
});

describe('what Step Functions says to who asks', () => {
  const ARN = 'arn:aws:states:us-east-1:000000000000:stateMachine:unqcow';
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  let answer: { readonly status: number; readonly name: string };
  const server = createServer((_, response) => {
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(JSON.stringify({ __type: `com.amazonaws.states#${answer.name}`, message: 'as it says' }));
  });
  let endpoint: string;
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());

  it.each<[number, string, ErrorCode]>([
    [400, 'ThrottlingException', 'TOO_MANY_REQUESTS'],
    [400, 'ExecutionLimitExceeded', 'TOO_MANY_REQUESTS'],
    [429, 'TooManyRequestsException', 'TOO_MANY_REQUESTS'],
    [503, 'ServiceUnavailable', 'STATE_MACHINE_UNAVAILABLE'],
    [500, 'InternalFailure', 'STATE_MACHINE_UNAVAILABLE'],
    [400, 'InvalidExecutionInput', 'BAD_REQUEST'],
    [400, 'ValidationException', 'BAD_REQUEST'],
  ])('%i %s is %s', async (status, name, code) => {
    answer = { status, name };
    const executions = openExecutions(ARN, { endpoint, credentials, maxAttempts: 1 });
    for (const request of [executions.start('name', {}), executions.describe('name'), executions.stop('name', 'why')]) {
      await expect(request).rejects.toMatchObject({ name: code, code, retryable: code !== 'BAD_REQUEST' });
    }
  });

  it('403 is a defect of the deployment’s', async () => {
    answer = { status: 400, name: 'AccessDeniedException' };
    const executions = openExecutions(ARN, { endpoint, credentials, maxAttempts: 1 });
    await expect(executions.describe('name')).rejects.toMatchObject({ name: 'AccessDeniedException' });
  });

  it('nothing at all is STATE_MACHINE_UNAVAILABLE', async () => {
    const executions = openExecutions(ARN, { endpoint: 'http://127.0.0.1:1', credentials, maxAttempts: 1 });
    await expect(executions.describe('name')).rejects.toMatchObject({ code: 'STATE_MACHINE_UNAVAILABLE' });
  });
});
