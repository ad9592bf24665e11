import { randomUUID } from 'node:crypto';
import { readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Reads and parses a file that {@link JsonFiles.write} made. Undefined if it is not there. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, 'utf8').catch(unlessMissing);
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

/** Passes on every error but "no such file or directory", which becomes undefined. */
export function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

/** Writes JSON files whole or not at all: into a folder for unfinished files first, then renamed into place. */
export class JsonFiles {
  readonly #unfinished: string;

  /** @param unfinished A folder on the file system of all files that will be written. Whoever starts up empties it. */
  constructor(unfinished: string) {
    this.#unfinished = unfinished;
  }

  /** @throws ENOENT if the file's folder does not exist. */
  async write(path: string, value: unknown): Promise<void> {
    const unfinished = join(this.#unfinished, randomUUID());
    await writeFile(unfinished, JSON.stringify(value));
    try {
      await rename(unfinished, path);
    } catch (error) {
      await unlink(unfinished);
      throw error;
    }
  }
}
