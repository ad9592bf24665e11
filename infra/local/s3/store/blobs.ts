import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { KiB } from '../../../../lib/units.ts';
import { BlobWriter, crcFileOf } from './blob-writer.ts';
import { type Extent, isData } from './extents.ts';
import { unlessMissing } from './json-file.ts';

const READ_SIZE = 256 * KiB;
const ZEROS = Buffer.alloc(READ_SIZE);

/**
 * Files of bytes that never change once written. Whoever refers to one in a manifest holds a reference; the file goes
 * with the last reference. The counts live in memory and are made anew from the manifests at each start.
 */
export class Blobs {
  readonly #dir: string;
  readonly #references = new Map<string, number>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async open(dir: string): Promise<Blobs> {
    await mkdir(dir, { recursive: true });
    return new Blobs(dir);
  }

  path(blob: string): string {
    return join(this.#dir, blob);
  }

  /** Takes one reference to each. */
  retain(blobs: Iterable<string>): void {
    for (const blob of blobs) this.#references.set(blob, (this.#references.get(blob) ?? 0) + 1);
  }

  /** Gives up one reference to each, and deletes those that nothing refers to any more. */
  async release(blobs: Iterable<string>): Promise<void> {
    for (const blob of blobs) {
      const left = (this.#references.get(blob) ?? 0) - 1;
      if (left > 0) this.#references.set(blob, left);
      else {
        this.#references.delete(blob);
        await this.#remove(blob);
      }
    }
  }

  /** A writer for `size` bytes to come. Its blob, once there are bytes to store, has one reference: the caller's. */
  writer(size: number): BlobWriter {
    const blob = randomBytes(12).toString('hex');
    return new BlobWriter({ blob, path: this.path(blob), size, blobs: this });
  }

  /** The bytes that the extents describe, in pieces of at most 256 KiB. The caller holds the references. */
  async *read(extents: readonly Extent[]): AsyncGenerator<Buffer> {
    let opened: { readonly blob: string; readonly file: FileHandle } | undefined;
    try {
      for (const extent of extents) {
        if (!isData(extent)) {
          for (let at = 0; at < extent.length; at += READ_SIZE)
            yield ZEROS.subarray(0, Math.min(READ_SIZE, extent.length - at));
          continue;
        }
        if (opened?.blob !== extent.blob) {
          await opened?.file.close();
          opened = undefined;
          opened = { blob: extent.blob, file: await open(this.path(extent.blob)) };
        }
        for (let at = 0; at < extent.length; at += READ_SIZE) {
          yield await readExactly(opened.file, extent.offset + at, Math.min(READ_SIZE, extent.length - at));
        }
      }
    } finally {
      await opened?.file.close();
    }
  }

  /** Deletes the files that nothing refers to: what uploads left that a kill cut short. For the start only. */
  async sweep(): Promise<void> {
    const names = new Set((await readdir(this.#dir)).map((name) => name.replace(/\.crc$/, '')));
    for (const blob of names) if (!this.#references.has(blob)) await this.#remove(blob);
  }

  async #remove(blob: string): Promise<void> {
    for (const path of [this.path(blob), crcFileOf(this.path(blob))]) await unlink(path).catch(unlessMissing);
  }
}

/** Reads `length` bytes at `position`. @throws Error if the file ends before: it has been tampered with. */
export async function readExactly(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0)
      throw new Error(`a blob file is shorter than its manifest says: no byte at ${position + filled}`);
    filled += bytesRead;
  }
  return buffer;
}
