import { type ErrorCode, UnqcowError } from '../lib/errors.ts';

/** What Step Functions or the SDK refuses, by its name, as our codes. */
const REFUSALS: Readonly<Record<string, ErrorCode>> = {
  StateMachineDoesNotExist: 'STATE_MACHINE_NOT_FOUND',
  StateMachineDeleting: 'STATE_MACHINE_NOT_FOUND',
  InvalidArn: 'STATE_MACHINE_NOT_FOUND',
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

/** What a refusal of Step Functions' means to who started a conversion. Those that are no caller's have their codes already. */
export function cloudRefusal(error: unknown, stateMachine: string): unknown {
  if (error instanceof UnqcowError) return error;
  const { name, message } = error as Error;
  const code = Object.hasOwn(REFUSALS, name) ? REFUSALS[name] : undefined;
  return code ? new UnqcowError(code, `${stateMachine}: ${name}: ${message}`, { cause: error }) : error;
}
