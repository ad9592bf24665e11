import * as s3Module from '@aws-sdk/client-s3';
import { DATA_LIMIT, StateError, terminalError } from './state-error.ts';
import type { Task } from './task.ts';

type Command = Parameters<s3Module.S3Client['send']>[0];
type CommandClass = new (input: unknown) => Command;

const exported: Readonly<Record<string, unknown>> = s3Module;

/**
 * The task behind `arn:aws:states:::aws-sdk:s3:ACTION`: runs client-s3's command of that name with the parameters as they are.
 *
 * @throws Error at once, not when the task runs, if client-s3 has no such command.
 */
export function sdkTask(action: string, s3: s3Module.S3Client): Task {
  const name = `${action.charAt(0).toUpperCase()}${action.slice(1)}Command`;
  const Command = exported[name];
  if (typeof Command !== 'function') throw new Error(`client-s3 has no ${name}`);
  return async (input, { signal }) => {
    try {
      const answer = await s3.send(new (Command as CommandClass)(input), { abortSignal: signal });
      return await asState({ ...answer });
    } catch (error) {
      throw error instanceof StateError ? error : sdkError(error);
    }
  };
}

/** An answer as a state can hold it: no `$metadata`, a body as text, dates as ISO strings (JSON makes them so). */
async function asState({ $metadata, Body, ...answer }: Record<string, unknown>): Promise<unknown> {
  const json = JSON.parse(JSON.stringify(answer));
  if (Body === undefined) return json;
  const length = Number(json.ContentLength ?? 0);
  const body = Body as { transformToString(): Promise<string>; destroy?(): void };
  if (length > DATA_LIMIT) {
    body.destroy?.();
    throw terminalError('States.DataLimitExceeded', `the object has ${length} bytes; ${DATA_LIMIT} are allowed`);
  }
  return { ...json, Body: await body.transformToString() };
}

/**
 * As Step Functions names what its SDK throws: errors that S3's model knows by their own class, all other answers as
 * `S3.S3Exception` with the status in the cause, and no answer at all as `S3.SdkClientException`.
 */
function sdkError(error: unknown): StateError {
  const { name, message, $metadata } = error as Error & Partial<s3Module.S3ServiceException>;
  const status = $metadata?.httpStatusCode;
  if (status === undefined) return new StateError('S3.SdkClientException', message);
  const cause = `${message} (Service: S3, Status Code: ${status}, Request ID: ${$metadata?.requestId ?? 'none'})`;
  return new StateError(isModelled(name) ? `S3.${name}Exception` : 'S3.S3Exception', cause);
}

function isModelled(name: string): boolean {
  const found = exported[name];
  return typeof found === 'function' && found.prototype instanceof s3Module.S3ServiceException;
}
