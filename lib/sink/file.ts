import { randomBytes } from 'node:crypto';
import { type FileHandle, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UnqcowError } from '../errors.ts';
import { formatBytes, KiB } from '../units.ts';
import { cutName } from './cut-name.ts';

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
/** Bytes of a file's name, in most file systems. */
const MAX_NAME = 255;
/** What a file system says where there is no room for a file, or never would be. */
const FULL: ReadonlySet<string> = new Set(['EDQUOT', 'EFBIG', 'EINVAL', 'ENOSPC']);

/**
 * Writes a file of `size` bytes beside the target, and renames it into place, with the target's mode, when it is finished.
 * Does not wait for the disk, as `cp` and `qemu-img` do not. Unless it may overwrite, a target that appears meanwhile is
 * not replaced either.
 *
 * @throws UnqcowError `DESTINATION_NOT_FOUND`, `DESTINATION_DENIED`, `DESTINATION_EXISTS`, `DESTINATION_LIMIT`.
 */
export async function openFileSink(
  path: string,
  size: number,
  { overwrite }: { readonly overwrite: boolean },
): Promise<FileSink> {
  const guard = guarded(path, size);
  const there = await stat(path).catch((error: NodeJS.ErrnoException) =>
    // Refused now, or after all the work: the name beside it is cut.
    error.code === 'ENAMETOOLONG' ? guard(Promise.reject(error)) : undefined,
  );
  if (there && !there.isFile()) throw new UnqcowError('DESTINATION_DENIED', `${path} is not a regular file`);
  if (there && !overwrite) throw new UnqcowError('DESTINATION_EXISTS', `${path} exists`);
  const place = there ? await realpath(path) : path; // a link stays one
  const temporary = besides(place);
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
      const { size: written } = await guard(file.stat());
      if (written !== size) throw new UnqcowError('INTERNAL', `${temporary} has ${written} bytes, not ${size}`);
      await guard(file.close());
      if (!overwrite) await guard(claim(place));
      await guard(rename(temporary, place));
    },
    discard,
  };
}

/** A name beside the target's that nobody has, no longer than names may be. */
function besides(place: string): string {
  const suffix = `.${randomBytes(4).toString('hex')}.part`;
  const from = place.lastIndexOf('/') + 1;
  return place.slice(0, from) + cutName(place.slice(from), MAX_NAME - suffix.length) + suffix;
}

/** Takes a name that nobody has. Renaming to it replaces nothing but this. */
async function claim(path: string): Promise<void> {
  const file = await open(path, 'wx');
  await file.close();
}

async function writeSparse(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 0; // of the run that is not zeros
  for (let block = 0; block < bytes.length; block += BLOCK) {
    if (!isZeros(buffer, block)) continue;
    await writeAll(file, bytes.subarray(start, block), at + start);
    start = block + BLOCK;
  }
  if (start < bytes.length) await writeAll(file, bytes.subarray(start), at + start);
}

function isZeros(buffer: Buffer, block: number): boolean {
  if (buffer[block] !== 0) return false; // most are told by that
  const end = Math.min(block + BLOCK, buffer.length);
  return buffer.compare(ZEROS, 0, end - block, block, end) === 0;
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
      if (FULL.has(code ?? '')) {
        throw new UnqcowError('DESTINATION_LIMIT', `${formatBytes(size)} do not fit at ${said}`, { cause });
      }
      throw new UnqcowError('DESTINATION_DENIED', said, { cause });
    }
  };
}
