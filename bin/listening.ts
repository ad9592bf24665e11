import { UnqcowError } from '../lib/errors.ts';

/** What stands against listening somewhere: which flag says where, and what is wrong with it. */
const REASONS: Readonly<Record<string, readonly [flag: string, why: (error: ListenError) => string]>> = {
  EADDRINUSE: ['--port', ({ port }) => `port ${port} is taken; --port asks for another`],
  EACCES: ['--port', ({ port }) => `port ${port} is not for this user; --port asks for another`],
  EADDRNOTAVAIL: ['--host', ({ address }) => `${address} is no address of this machine`],
};

interface ListenError extends NodeJS.ErrnoException {
  readonly address?: string;
  readonly port?: number;
}

/**
 * Starts what listens.
 *
 * @throws UnqcowError `BAD_REQUEST` if its port is taken or not for this user, or its address is not of this machine.
 */
export async function listening<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const { code = '', syscall } = error as ListenError;
    const reason = syscall === 'listen' && Object.hasOwn(REASONS, code) ? REASONS[code] : undefined;
    if (!reason) throw error;
    const [at, why] = reason;
    throw new UnqcowError('BAD_REQUEST', why(error as ListenError), { at, cause: error });
  }
}
