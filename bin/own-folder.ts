import { mkdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UnqcowError } from '../lib/errors.ts';

/**
 * A folder for this process alone, made if need be, until it is disposed of. Which process has it lies in it; one that is
 * no more has nothing.
 *
 * @param at The flag that names it.
 * @throws UnqcowError `BAD_REQUEST` if it cannot be made or written to, or another process has it.
 */
export async function ownFolder(path: string, at: string): Promise<AsyncDisposable> {
  const lock = join(path, 'unqcow.pid');
  try {
    await makeFolder(path);
    const other = await ownerOf(lock);
    if (other !== undefined) {
      const message = `process ${other} has ${path}; if it is none of unqcow's, delete ${lock}`;
      throw new UnqcowError('BAD_REQUEST', message, { at });
    }
    await writeFile(lock, `${process.pid}\n`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof UnqcowError || code === undefined) throw error;
    throw new UnqcowError('BAD_REQUEST', `${path} is no folder that can be written to (${code})`, { at, cause: error });
  }
  return { [Symbol.asyncDispose]: () => unlink(lock).catch(() => undefined) };
}

/** With those above it. Node's own way to make them tries for ever where a file system makes none, as that of `/proc`. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path);
  }
}

/** The process that runs and has the folder. In a container that is started again it may have had our own number. */
async function ownerOf(lock: string): Promise<number | undefined> {
  const pid = Number(await readFile(lock, 'utf8').catch(() => ''));
  if (!Number.isSafeInteger(pid) || pid < 1 || pid === process.pid) return undefined;
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? pid : undefined;
  }
}
