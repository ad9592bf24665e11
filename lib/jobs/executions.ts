import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  SFNClient,
  type SFNClientConfig,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { type ErrorCode, ErrorCodes, UnqcowError } from '../errors.ts';
import { statusOf } from '../http-status.ts';
import { PROMPT } from '../patience.ts';
import { UNKNOWN_CALLER } from '../s3-setup.ts';

export type ExecutionStatus = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED' | 'PENDING_REDRIVE';

/** An execution, as far as its caller may know of it. */
export interface Execution {
  readonly status: ExecutionStatus;
  readonly startedAt: Date;
  readonly endedAt?: Date | undefined;
  readonly input: unknown;
  readonly output?: unknown;
  readonly error?: string | undefined;
  readonly cause?: string | undefined;
}

/**
 * Starts conversions and looks after them. One request each.
 *
 * Throws UnqcowError `TOO_MANY_REQUESTS`; `STATE_MACHINE_UNAVAILABLE`; `BAD_REQUEST` for an input that Step Functions does
 * not take.
 */
export interface Executions {
  /**
   * @returns when it was started: now, or before by the very same input if it runs still. Nothing if the name is taken,
   * which is not an error.
   */
  start(name: string, input: unknown): Promise<Date | undefined>;
  /** Nothing if there is none of that name. Step Functions may not tell yet of what was done a moment ago. */
  describe(name: string): Promise<Execution | undefined>;
  /** One that has ended stays as it is. @returns when it ended. */
  stop(name: string, cause: string): Promise<Date>;
}

/** Whether it has not come to an end, as far as is known. */
export const isRunning = ({ status }: Pick<Execution, 'status'>): boolean =>
  status === 'RUNNING' || status === 'PENDING_REDRIVE';

/** The executions of one state machine, in the region that its ARN names. The SDK's own retry is the one layer there is. */
export function openExecutions(stateMachineArn: string, config: SFNClientConfig = {}): Executions {
  const region = stateMachineArn.split(':')[3] ?? '';
  const client = new SFNClient({ maxAttempts: 5, region, ...PROMPT, ...config });
  const arnOf = (name: string) => `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;
  return {
    async start(name, input) {
      const command = new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) });
      return client.send(command).then(
        ({ startDate }) => startDate as Date,
        (error) => {
          if (error instanceof ExecutionAlreadyExists) return undefined;
          throw asRefusal(error);
        },
      );
    },
    async describe(name) {
      try {
        const answer = await client.send(new DescribeExecutionCommand({ executionArn: arnOf(name) }));
        const { status, startDate, stopDate, input, output, error, cause } = answer;
        return {
          status: status as ExecutionStatus,
          startedAt: startDate as Date,
          endedAt: stopDate,
          input: input && JSON.parse(input),
          output: output && JSON.parse(output),
          error,
          cause,
        };
      } catch (error) {
        if (error instanceof ExecutionDoesNotExist) return undefined;
        throw asRefusal(error);
      }
    },
    async stop(name, cause) {
      const command = new StopExecutionCommand({ executionArn: arnOf(name), error: 'ABORTED', cause });
      const { stopDate } = await client.send(command).catch((error) => {
        throw asRefusal(error);
      });
      return stopDate as Date;
    },
  };
}

const THROTTLED = ['ThrottlingException', 'ExecutionLimitExceeded', 'TooManyRequestsException'];
/** Of an input that is longer than 256 KiB. */
const TOO_LONG = ['InvalidExecutionInput', 'ValidationException'];

/** What Step Functions said, as one of our codes if its caller can do something about it. */
function asRefusal(error: unknown): unknown {
  const { name, message } = error as Error;
  const status = statusOf(error);
  const told = (code: ErrorCode, why: string) => new UnqcowError(code, `${why} (${message})`, { cause: error });
  if (THROTTLED.includes(name) || status === 429) return told('TOO_MANY_REQUESTS', 'Step Functions takes no more now');
  if (TOO_LONG.includes(name)) return told('BAD_REQUEST', 'Step Functions does not take the input');
  // Without credentials nobody was asked.
  if (UNKNOWN_CALLER.has(name) || (status !== undefined && status < 500)) return error;
  return told('STATE_MACHINE_UNAVAILABLE', `Step Functions cannot be asked now: ${name}`);
}

/** What Step Functions and Lambda call failures that no defect of ours explains, as our codes. */
const SERVICE_FAILURES: Readonly<Record<string, ErrorCode>> = {
  'Lambda.TooManyRequestsException': 'TOO_MANY_REQUESTS',
  'States.Timeout': 'TIMED_OUT',
  'Sandbox.Timedout': 'TIMED_OUT',
  'Lambda.ClientExecutionTimeoutException': 'TIMED_OUT',
  'Lambda.ServiceException': 'STATE_MACHINE_UNAVAILABLE',
  'Lambda.AWSLambdaException': 'STATE_MACHINE_UNAVAILABLE',
  'Lambda.SdkClientException': 'STATE_MACHINE_UNAVAILABLE',
  'Lambda.Unknown': 'STATE_MACHINE_UNAVAILABLE',
  'Runtime.ExitError': 'STATE_MACHINE_UNAVAILABLE',
  'Runtime.OutOfMemory': 'STATE_MACHINE_UNAVAILABLE',
  // Of a map whose workers left no reason: one found no room, or was ended before it could write.
  'States.ExceedToleratedFailureThreshold': 'STATE_MACHINE_UNAVAILABLE',
};

/** Why an execution ended, as one of our codes: of the services' own names those that are known, `INTERNAL` for the rest. */
export function failureOf({ status, error = '', cause = '' }: Execution): { code: ErrorCode; message: string } {
  if (status === 'ABORTED') return { code: 'ABORTED', message: cause || 'the conversion was stopped' };
  const message = messageOf(cause);
  if (Object.hasOwn(ErrorCodes, error)) return { code: error as ErrorCode, message };
  if (status === 'TIMED_OUT') return { code: 'TIMED_OUT', message: 'the conversion took longer than it may' };
  const code = Object.hasOwn(SERVICE_FAILURES, error) ? SERVICE_FAILURES[error] : undefined;
  return { code: code ?? 'INTERNAL', message: [error, message].filter(Boolean).join(': ') };
}

/** A Lambda's error comes as JSON with a stack trace, which is nobody's business. */
export function messageOf(cause: string): string {
  try {
    const { errorMessage } = JSON.parse(cause) as { errorMessage?: unknown };
    return typeof errorMessage === 'string' ? errorMessage : cause;
  } catch {
    return cause;
  }
}
