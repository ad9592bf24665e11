import { UnqcowError } from '../lib/errors.ts';

/** A flag, or flags together, that mean nothing: exits with 2, where what an image or a place is refused for exits with 1. */
export class UsageError extends UnqcowError {
  constructor(message: string, options: { readonly at?: string } = {}) {
    super('BAD_REQUEST', message, options);
  }
}

/** What is wrong with a flag's value is wrong usage, whoever finds it. */
export function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof UnqcowError && error.code === 'BAD_REQUEST' ? new UsageError(error.message) : error;
  }
}
