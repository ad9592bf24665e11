import type { InflateRaw, ZstdDecompress } from 'node:zlib';
import type { Compression } from '../format/geometry.ts';

/**
 * Decompresses one whole deflate stream or zstd frame to where its cluster belongs.
 *
 * @param cluster As long as a cluster. Whatever the outcome, all of it may have been written to.
 * @returns whether the stream was sound as far as it was read, and filled the cluster. Of a zstd frame that says that it
 * holds a cluster, and is there whole, this is all there is to know; of deflate it is what QEMU asks for.
 */
export type InPlace = (stored: Uint8Array, cluster: Uint8Array) => boolean;

/**
 * Node's `inflateRawSync` and `zstdDecompressSync` make a stream object, a context and a buffer for each cluster, and what
 * they return has to be copied: a quarter to a third of the time. The native handle beneath one stream is used for all of
 * them here, as the stream itself would use it. It is not part of Node's documented interface: where it does not look as
 * expected, the documented functions do the work.
 *
 * This function must use nothing from outside itself: a thread runs it from its text.
 *
 * @param native Whether the handle may be used.
 */
export function inPlace(compression: Compression, native = true): InPlace {
  const zlib = process.getBuiltinModule('node:zlib');
  /** What `zlib` keeps in its streams. */
  interface Internals {
    readonly _handle?: {
      onerror: () => void;
      reset(): void;
      writeSync(
        flush: number,
        ...fromAndInto: [Uint8Array, at: number, length: number, Uint8Array, at: number, length: number]
      ): void;
    };
    /** What a write left: of the room, and of what was stored. */
    readonly _writeState?: Uint32Array;
  }
  const open = (): (InflateRaw | ZstdDecompress) & Internals =>
    compression === 'zstd' ? zlib.createZstdDecompress() : zlib.createInflateRaw();
  const { Z_SYNC_FLUSH, ZSTD_e_end } = zlib.constants;

  const byHandle: InPlace = (stored, cluster) => {
    const { _handle: handle, _writeState: left } = stream as Required<Internals>;
    let damaged = false;
    handle.onerror = () => {
      damaged = true;
    };
    const flush = compression === 'zstd' ? ZSTD_e_end : Z_SYNC_FLUSH;
    handle.writeSync(flush, stored, 0, stored.length, cluster, 0, cluster.length);
    const done = !damaged && left[0] === 0 && (compression === 'deflate' || left[1] === 0);
    if (!done) {
      stream.destroy();
      stream = open(); // a handle remembers its errors
    } else if (compression === 'deflate') handle.reset(); // after a whole frame, a zstd context is as new
    return done;
  };

  const byFunction: InPlace = (stored, cluster) => {
    const [room, maxOutputLength] = [Math.max(64, cluster.length), cluster.length];
    try {
      const bytes =
        compression === 'zstd'
          ? zlib.zstdDecompressSync(stored, { chunkSize: room + 1, maxOutputLength })
          : zlib.inflateRawSync(stored, { chunkSize: room, maxOutputLength, finishFlush: Z_SYNC_FLUSH });
      if (bytes.length !== cluster.length) return false;
      cluster.set(bytes);
      return true;
    } catch {
      return false;
    }
  };

  let stream = open();
  const { _handle: handle, _writeState: left } = stream;
  const isKnown = typeof handle?.writeSync === 'function' && typeof handle.reset === 'function';
  return native && isKnown && left instanceof Uint32Array && left.length === 2 ? byHandle : byFunction;
}
