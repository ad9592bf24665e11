import { randomUUID } from 'node:crypto';
import type { Description, Executions } from './executions.ts';
import { ServiceError } from './service-error.ts';

type Request = Readonly<Record<string, unknown>>;
type Action = (request: Request) => unknown;

const PAGE = 100;

/** Step Functions' API as far as it is spoken here, by action name: request and answer as AWS JSON 1.0 has them. */
export function createActions(executions: Executions, stateMachineArn: string): Readonly<Record<string, Action>> {
  const assertMachine = ({ stateMachineArn: asked }: Request) => {
    if (asked === stateMachineArn) return;
    throw new ServiceError('StateMachineDoesNotExist', `State Machine Does Not Exist: '${asked}'`);
  };
  return {
    StartExecution(request) {
      assertMachine(request);
      const name = optionalString(request, 'name') ?? randomUUID();
      const { executionArn, startDate } = executions.start(name, optionalString(request, 'input') ?? '{}');
      return { executionArn, startDate: seconds(startDate) };
    },
    DescribeExecution(request) {
      const { output, ...description } = summary(executions.describe(nameOf(request, executions)), stateMachineArn);
      const outputText = output === undefined ? {} : { output: JSON.stringify(output) };
      return { ...description, ...outputText, inputDetails: { included: true }, redriveCount: 0 };
    },
    StopExecution(request) {
      const reason: { error?: string; cause?: string } = {};
      const error = optionalString(request, 'error');
      const cause = optionalString(request, 'cause');
      if (error !== undefined) reason.error = error;
      if (cause !== undefined) reason.cause = cause;
      const { stopDate } = executions.stop(nameOf(request, executions), reason);
      return { stopDate: seconds(stopDate) };
    },
    ListExecutions(request) {
      assertMachine(request);
      const wanted = executions
        .list()
        .filter(({ status }) => [undefined, status].includes(request.statusFilter as never));
      const from = Number(optionalString(request, 'nextToken') ?? 0);
      if (!Number.isSafeInteger(from) || from < 0) throw new ServiceError('InvalidToken', 'Invalid Token');
      const to = from + (Number(request.maxResults ?? 0) || PAGE);
      const page = wanted.slice(from, to).map((one) => {
        const { input, output, error, cause, ...item } = summary(one, stateMachineArn);
        return item;
      });
      return { executions: page, ...(to < wanted.length ? { nextToken: String(to) } : {}) };
    },
  };
}

function summary({ startDate, stopDate, ...rest }: Description, stateMachineArn: string) {
  const stopped = stopDate === undefined ? {} : { stopDate: seconds(stopDate) };
  return { ...rest, stateMachineArn, startDate: seconds(startDate), ...stopped };
}

/** AWS JSON's time: seconds since 1970, with a fraction. */
const seconds = (date = new Date()): number => date.getTime() / 1000;

function nameOf(request: Request, executions: Executions): string {
  const arn = optionalString(request, 'executionArn') ?? '';
  const name = arn.split(':').slice(7).join(':');
  if (!/^arn:[^:]+:states:[^:]*:[^:]*:execution:[^:]+:.+$/.test(arn))
    throw new ServiceError('InvalidArn', `Invalid Arn: '${arn}'`);
  if (arn !== executions.arnOf(name))
    throw new ServiceError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
  return name;
}

function optionalString(request: Request, field: string): string | undefined {
  const value = request[field];
  if (value === undefined || value === null || typeof value === 'string') return value ?? undefined;
  throw new ServiceError('ValidationException', `${field} is not a string`);
}
