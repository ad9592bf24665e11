import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { UnqcowError } from '../errors.ts';
import { assertWithin, type ByteRange } from '../ranges.ts';
import type { OpenSource, ReadOptions } from './byte-source.ts';

/**
 * Opens a file for reading. It is pinned by size and modification time: `verify` finds out whether it was written to.
 *
 * @throws UnqcowError `SOURCE_NOT_FOUND`, `SOURCE_DENIED`.
 */
export async function openFile(path: string): Promise<OpenSource> {
  // Without O_NONBLOCK, opening a pipe waits until somebody writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause) => {
    throw asSourceError(path, cause);
  });
  const before = await file.stat({ bigint: true });
  if (!before.isFile()) {
    await file.close();
    throw new UnqcowError('SOURCE_DENIED', `${path} is not a regular file`);
  }
  const size = Number(before.size);
  return {
    size,
    id: `file:${before.dev}:${before.ino}:${before.size}:${before.mtimeNs}`,
    read: (range, options) => readWhole(file, path, size, range, options),
    async verify() {
      const now = await file.stat({ bigint: true });
      if (now.size === before.size && now.mtimeNs === before.mtimeNs) return;
      throw new UnqcowError('SOURCE_CHANGED', `${path} was written to while we were reading it`);
    },
    close: () => file.close(),
  };
}

async function readWhole(file: FileHandle, path: string, size: number, range: ByteRange, options: ReadOptions = {}) {
  const { signal, into } = options;
  signal?.throwIfAborted();
  assertWithin(range, size);
  const bytes = into ?? new Uint8Array(range.end - range.start);
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, range.start + done).catch((cause) => {
      throw asSourceError(path, cause);
    });
    signal?.throwIfAborted();
    if (bytesRead === 0) throw new UnqcowError('SOURCE_CHANGED', `${path} was cut short while we were reading it`);
    done += bytesRead;
  }
  return bytes;
}

function asSourceError(path: string, cause: NodeJS.ErrnoException): UnqcowError {
  if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') {
    return new UnqcowError('SOURCE_NOT_FOUND', `there is no file ${path}`, { cause });
  }
  return new UnqcowError('SOURCE_DENIED', `${path} cannot be read (${cause.code})`, { cause });
}

/** How the ids of all versions of a file start; nothing if there is none. */
export async function fileId(path: string): Promise<string | undefined> {
  const there = await stat(path, { bigint: true }).catch(() => undefined);
  return there && `file:${there.dev}:${there.ino}:`;
}
