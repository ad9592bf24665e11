import { type ErrorCode, UnqcowError } from '../lib/errors.ts';
import { statusOf } from '../lib/http-status.ts';

/** What Step Functions or the SDK refuses, by its name, as our codes. */
const REFUSALS: Readonly<Record<string, ErrorCode>> = {
  StateMachineDoesNotExist: 'STATE_MACHINE_NOT_FOUND',
  StateMachineDeleting: 'STATE_MACHINE_NOT_FOUND',
  InvalidArn: 'STATE_MACHINE_NOT_FOUND',
  InvalidExecutionInput: 'BAD_REQUEST',
  AccessDeniedException: 'STATE_MACHINE_DENIED',
  KmsAccessDeniedException: 'STATE_MACHINE_DENIED',
  UnrecognizedClientException: 'STATE_MACHINE_DENIED',
  InvalidClientTokenId: 'STATE_MACHINE_DENIED',
  InvalidSignatureException: 'STATE_MACHINE_DENIED',
  IncompleteSignatureException: 'STATE_MACHINE_DENIED',
  MissingAuthenticationTokenException: 'STATE_MACHINE_DENIED',
  ExpiredTokenException: 'STATE_MACHINE_DENIED',
  CredentialsProviderError: 'STATE_MACHINE_DENIED',
  TokenProviderError: 'STATE_MACHINE_DENIED',
};

/** What an answer of Step Functions', or that there was none, means to who started a conversion. */
export function cloudRefusal(error: unknown, stateMachine: string): unknown {
  if (error instanceof UnqcowError) return error;
  const { name, message } = error as Error;
  const status = statusOf(error) ?? 500;
  const refusal = Object.hasOwn(REFUSALS, name) ? REFUSALS[name] : undefined;
  const code = refusal ?? (status >= 500 ? 'STATE_MACHINE_UNAVAILABLE' : undefined);
  return code ? new UnqcowError(code, `${stateMachine}: ${name}: ${message}`, { cause: error }) : error;
}
