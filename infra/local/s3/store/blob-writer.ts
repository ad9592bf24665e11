import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { KiB, MiB } from '../../../../lib/units.ts';
import { combineCrc32, crc32OfZeros, multiply, shiftBy } from '../checksums/crc32-combine.ts';
import { append, type Extent } from './extents.ts';

/** Zeros are looked for, and CRC32s are kept, for blocks of this many bytes. */
export const BLOCK = 64 * KiB;

/** The file beside a blob that holds the CRC32 of each of its whole blocks, as u32 in this machine's byte order. */
export const crcFileOf = (path: string): string => `${path}.crc`;

const ZERO_BLOCK = Buffer.alloc(BLOCK);
const ZERO_BLOCK_CRC = crc32OfZeros(BLOCK);
const SHIFT_BLOCK = shiftBy(BLOCK);

/** What was written: its extents (holes for zeros), its length in bytes, and its CRC32. */
export interface Written {
  readonly extents: readonly Extent[];
  readonly size: number;
  readonly crc32: number;
}

interface Owner {
  retain(blobs: Iterable<string>): void;
  release(blobs: Iterable<string>): Promise<void>;
}

/**
 * Stores bytes as they come. Blocks of zeros are left out, the rest goes to one blob file, so that every extent but the
 * last starts and ends on a block of the blob. Holds at most 2 MiB, whatever the length: one is written to disk while the
 * other fills.
 */
export class BlobWriter {
  readonly #blob: string;
  readonly #path: string;
  readonly #owner: Owner;
  readonly #extents: Extent[] = [];
  readonly #crcs: number[] = [];
  #buffer: Buffer;
  #spare: Buffer | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** Bytes of the buffer that are to be stored, and after them those of the block that is not full yet. */
  #kept = 0;
  #pending = 0;
  #file: FileHandle | undefined;
  #stored = 0;
  #size = 0;
  #crc = 0;

  constructor({ blob, path, size, blobs }: { blob: string; path: string; size: number; blobs: Owner }) {
    this.#blob = blob;
    this.#path = path;
    this.#owner = blobs;
    this.#buffer = Buffer.allocUnsafe(Math.min(MiB, Math.max(1, Math.ceil(size / BLOCK)) * BLOCK));
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + BLOCK - this.#pending);
      this.#buffer.set(part, this.#kept + this.#pending);
      this.#pending += part.length;
      at += part.length;
      if (this.#pending === BLOCK) await this.#endBlock();
    }
  }

  /** Stores what is left. The blob's one reference is now the caller's. */
  async finish(): Promise<Written> {
    if (this.#pending > 0) await this.#endBlock();
    await this.#flush();
    await this.#writing;
    await this.#file?.close();
    if (this.#stored >= BLOCK) await writeFile(crcFileOf(this.#path), Uint32Array.from(this.#crcs));
    return { extents: this.#extents, size: this.#size, crc32: this.#crc };
  }

  /** Deletes what was stored. */
  async discard(): Promise<void> {
    await this.#writing.catch(() => {});
    await this.#file?.close().catch(() => {});
    if (this.#file !== undefined) await this.#owner.release([this.#blob]);
  }

  async #endBlock(): Promise<void> {
    const length = this.#pending;
    const block = this.#buffer.subarray(this.#kept, this.#kept + length);
    const isZero = block.equals(length === BLOCK ? ZERO_BLOCK : ZERO_BLOCK.subarray(0, length));
    if (length === BLOCK) {
      const crc = isZero ? ZERO_BLOCK_CRC : crc32(block);
      this.#crc = (multiply(SHIFT_BLOCK, this.#crc) ^ crc) >>> 0;
      if (!isZero) this.#crcs.push(crc);
    } else this.#crc = combineCrc32(this.#crc, crc32(block), length);
    append(this.#extents, isZero ? { length } : { blob: this.#blob, offset: this.#stored + this.#kept, length });
    if (!isZero) this.#kept += length;
    this.#size += length;
    this.#pending = 0;
    if (this.#kept === this.#buffer.length) await this.#flush();
  }

  /** Waits for the last write to end, and begins to write what is kept. */
  async #flush(): Promise<void> {
    if (this.#kept === 0) return;
    await this.#writing;
    if (this.#file === undefined) {
      this.#file = await open(this.#path, 'wx');
      this.#owner.retain([this.#blob]);
    }
    this.#writing = writeFully(this.#file, this.#buffer.subarray(0, this.#kept));
    this.#writing.catch(() => {}); // whoever awaits it next is told
    [this.#buffer, this.#spare] = [this.#spare ?? Buffer.allocUnsafe(this.#buffer.length), this.#buffer];
    this.#stored += this.#kept;
    this.#kept = 0;
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
}
