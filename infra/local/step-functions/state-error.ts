/** Bytes of UTF-8 that one state may take in or give out, and that an execution may start with: 256 KiB, as in Step Functions. */
export const DATA_LIMIT = 262_144;

/**
 * Why a state failed, in the terms of the States Language: `name` is its Error, `message` its Cause.
 * The interpreter asks `isRetryable` and `isCatchable` before it looks at Retry and Catch.
 */
export class StateError extends Error {
  readonly isRetryable: boolean;
  readonly isCatchable: boolean;

  constructor(error: string, cause: string, options: { readonly terminal?: boolean } = {}) {
    super(cause);
    this.name = error;
    this.isRetryable = options.terminal !== true;
    this.isCatchable = options.terminal !== true;
  }
}

/** A failure that no Retry and no Catch sees, not even one of `States.ALL`. */
export function terminalError(error: string, cause: string): StateError {
  return new StateError(error, cause, { terminal: true });
}

/** @throws StateError `States.DataLimitExceeded` if `value` as JSON is longer than a state may pass on. */
export function assertWithinLimit(value: unknown, what: string): void {
  const bytes = Buffer.byteLength(JSON.stringify(value) ?? 'null');
  if (bytes <= DATA_LIMIT) return;
  throw terminalError('States.DataLimitExceeded', `the ${what} is ${bytes} bytes of JSON; ${DATA_LIMIT} are allowed`);
}
