import { randomBytes } from 'node:crypto';
import { type FileHandle, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UnqcowError } from '../errors.ts';
import { formatBytes, KiB } from '../units.ts';

/** A raw disk that is being written to a file. Until `finish`, the target is what it was. */
export interface FileSink {
  /** Writes at an offset; zeros stay holes. */
  write(bytes: Uint8Array, at: number): Promise<void>;
  finish(): Promise<void>;
  /** Leaves nothing behind. */
  discard(): Promise<void>;
}

/** Zeros are looked for in blocks of this size, which is a file system's own in most. */
const BLOCK = 4 * KiB;
const ZEROS = new Uint8Array(BLOCK);

/**
 * Starts writing a file of `size` bytes beside the target, and puts it in the target's place, with the target's mode,
 * when it is finished. A target that somebody else makes meanwhile is not overwritten either, if none is to be.
 *
 * @throws UnqcowError `DESTINATION_NOT_FOUND`, `DESTINATION_DENIED`, `DESTINATION_EXISTS`, `DESTINATION_LIMIT`.
 */
export async function openFileSink(
  path: string,
  size: number,
  { overwrite }: { readonly overwrite: boolean },
): Promise<FileSink> {
  const there = await stat(path).catch(() => undefined);
  if (there && !there.isFile()) throw new UnqcowError('DESTINATION_DENIED', `${path} is not a regular file`);
  if (there && !overwrite) throw new UnqcowError('DESTINATION_EXISTS', `${path} exists`);
  const place = there ? await realpath(path) : path; // a link stays one
  const temporary = `${place}.${randomBytes(4).toString('hex')}.part`;
  const guard = guarded(path, size);
  const file = await guard(open(temporary, 'wx', there?.mode ?? 0o666));
  const discard = async () => {
    await file.close().catch(() => undefined);
    await unlink(temporary).catch(() => undefined);
  };
  try {
    if (there) await guard(file.chmod(there.mode)); // which the umask may have narrowed
    await guard(file.truncate(size));
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    write: (bytes, at) => guard(writeSparse(file, bytes, at)),
    async finish() {
      await guard(file.sync());
      await file.close();
      if (!overwrite) await guard(claim(place));
      await guard(rename(temporary, place));
    },
    discard,
  };
}

/** Takes a name that nobody has. Renaming to it replaces nothing but this. */
async function claim(path: string): Promise<void> {
  const file = await open(path, 'wx');
  await file.close();
}

async function writeSparse(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  let start = 0; // of the run that is not zeros
  for (let block = 0; block < bytes.length; block += BLOCK) {
    if (!isZeros(bytes.subarray(block, block + BLOCK))) continue;
    await writeAll(file, bytes.subarray(start, block), at + start);
    start = block + BLOCK;
  }
  if (start < bytes.length) await writeAll(file, bytes.subarray(start), at + start);
}

function isZeros(block: Uint8Array): boolean {
  if (block[0] !== 0) return false;
  return Buffer.compare(block, block.length === BLOCK ? ZEROS : ZEROS.subarray(0, block.length)) === 0;
}

async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

/** Turns what the file system says into our codes. */
function guarded(path: string, size: number) {
  return async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const said = `${path}: ${code ?? (cause as Error).message}`;
      if (code === 'EEXIST') throw new UnqcowError('DESTINATION_EXISTS', `${path} exists`, { cause });
      if (code === 'ENOENT' || code === 'ENOTDIR')
        throw new UnqcowError('DESTINATION_NOT_FOUND', `there is no folder ${dirname(path)}`, { cause });
      if (code === 'EFBIG' || code === 'ENOSPC' || code === 'EINVAL') {
        throw new UnqcowError('DESTINATION_LIMIT', `${formatBytes(size)} do not fit at ${said}`, { cause });
      }
      throw new UnqcowError('DESTINATION_DENIED', said, { cause });
    }
  };
}
