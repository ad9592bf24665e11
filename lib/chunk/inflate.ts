import { constants, createInflateRaw, inflateRaw } from 'node:zlib';
import { UnqcowError } from '../errors.ts';

/**
 * Inflates one cluster's raw deflate stream. What follows the cluster is ignored, as QEMU does: further output and
 * trailing bytes. A damaged block that starts just where the cluster is full is refused, since zlib meets it while it looks
 * for the stream's end. Runs on zlib's thread pool.
 *
 * @param stream The bytes that the L2 entry names; they may hold more than the stream.
 * @returns Exactly `clusterSize` bytes.
 * @throws UnqcowError `DECOMPRESS_SHORT`, `DECOMPRESS_FAILED`.
 * @see qcow2.rst § Cluster mapping, compressed clusters descriptor
 */
export async function inflateCluster(stream: Uint8Array, clusterSize: number, at: string): Promise<Uint8Array> {
  // One chunk of exactly a cluster: the usual stream needs no second buffer. Window bits 15, since not all writers use 12.
  const limits = {
    chunkSize: Math.max(64, clusterSize),
    maxOutputLength: clusterSize,
    finishFlush: constants.Z_SYNC_FLUSH,
  };
  const inflated = await new Promise<Uint8Array | undefined>((resolve) => {
    inflateRaw(stream, limits, (error, bytes) => resolve(error ? undefined : bytes));
  });
  const bytes = inflated ?? (await inflateStart(stream, clusterSize, at));
  if (bytes.length === clusterSize) return bytes;
  throw new UnqcowError('DECOMPRESS_SHORT', `the stream holds ${bytes.length} bytes of a cluster's ${clusterSize}`, {
    at,
  });
}

/** The slow way, for streams that go on or go wrong: takes output as it comes, until there is a cluster of it. */
function inflateStart(stream: Uint8Array, clusterSize: number, at: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const inflater = createInflateRaw({ chunkSize: Math.max(64, clusterSize), finishFlush: constants.Z_SYNC_FLUSH });
    const chunks: Uint8Array[] = [];
    let length = 0;
    const finish = () => {
      inflater.destroy();
      resolve(Buffer.concat(chunks, Math.min(length, clusterSize)));
    };
    inflater.on('data', (chunk: Uint8Array) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= clusterSize) finish();
    });
    inflater.on('end', finish);
    inflater.on('error', (cause) => {
      if (length >= clusterSize) finish();
      else reject(new UnqcowError('DECOMPRESS_FAILED', `the stream is damaged (${cause.message})`, { at, cause }));
    });
    inflater.end(stream);
  });
}
