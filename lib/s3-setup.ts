import { UnqcowError } from './errors.ts';
import { statusOf } from './http-status.ts';

/** What the SDK says where it finds no credentials, and S3 of those that are not its own: nothing of what is asked for. */
export const UNKNOWN_CALLER: ReadonlySet<string> = new Set([
  'CredentialsProviderError',
  'TokenProviderError',
  'ExpiredToken',
  'InvalidAccessKeyId',
  'InvalidToken',
  'SignatureDoesNotMatch',
]);

/** What is missing before S3 can be asked for anything: no second try mends it. */
export function isSetupError(error: unknown): boolean {
  return error instanceof Error && (UNKNOWN_CALLER.has(error.name) || error.message.startsWith('Region is missing'));
}

/** The same as our code. */
export function asSetupError(where: string, error: unknown): UnqcowError | undefined {
  if (!isSetupError(error)) return undefined;
  const { name, message } = error as Error;
  // The SDK's words name the profile. S3's could name the account.
  const said = statusOf(error) === undefined ? message : name;
  return new UnqcowError('S3_NOT_CONFIGURED', `${where} cannot be asked for (${said})`, { cause: error });
}
