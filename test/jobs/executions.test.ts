import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../lib/errors.ts';
import { type ExecutionStatus, failureOf } from '../../lib/jobs/executions.ts';

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
