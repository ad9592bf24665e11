import { assemble } from '../chunk/assemble.ts';
import { cipherOf } from '../chunk/crypto/decrypt.ts';
import { assembleInOrder } from '../chunk/in-order.ts';
import { UnqcowError } from '../errors.ts';
import { isEncrypted } from '../format/geometry.ts';
import { type Disk, type Layer, mapOf, type TableSlice } from '../format/layer.ts';
import { PLAN_LIMITS } from '../plan/s3-limits.ts';
import type { PartTask } from '../plan/shares.ts';
import { crc32OfZeros, toBase64 } from '../sink/crc32.ts';
import { copyPart } from '../sink/s3-copy-part.ts';
import { putPart } from '../sink/s3-multipart.ts';
import { putJson } from '../sink/s3-object.ts';
import { putStreamedPart } from '../sink/s3-streamed-part.ts';
import type { CopySource, Receipt, S3Target, Upload } from '../sink/s3-target.ts';
import { type Meter, newMeter } from '../source/metered.ts';
import { idOf, s3Source } from '../source/s3.ts';
import { MiB } from '../units.ts';
import { withCachedTables } from './cached-disk.ts';
import { digestOf, pinsOf, type Share, type ShareLayer, type ShareResult } from './conversion.ts';
import { runTasks } from './making.ts';
import type { Stores } from './stores.ts';
import { type JobKeys, keyFor, loadKeys, type Vault, wipe } from './vault.ts';

export interface ShareDeps {
  readonly stores: Stores;
  readonly vault?: Vault | undefined;
}

/**
 * Makes one share's parts. Safe to run twice: the pin makes the input the same, and an upload of the same part number
 * replaces the same bytes.
 *
 * Costs one request a part, and for data parts the L2 tables and few reads of up to 8 MiB. Memory: 256 MiB of parts, or
 * one part where it is larger, and the reads in flight.
 *
 * @throws UnqcowError `UPLOAD_GONE`, `SOURCE_CHANGED`, `CHECKSUM_MISMATCH`; as `assemble`, `putPart`, `copyPart` and
 * `loadKeys` do.
 */
export async function convertShare(
  { stores, vault }: ShareDeps,
  share: Share,
  uploadId: string,
  signal?: AbortSignal,
): Promise<ShareResult> {
  const meter = newMeter();
  const maker: Omit<PartMaker, 'signal' | 'into'> = {
    writer: stores.writer,
    upload: { ...share.destination, uploadId },
    copySource: share.source,
    layersOf: await openLayers({ stores, vault }, share, meter),
    zeros: share.zeros,
  };
  const receipts: Receipt[] = [];
  const tasks = share.parts.map((task) => ({
    start: task.start,
    memory: memoryOf(task),
    async run(stop: AbortSignal, into: Uint8Array) {
      receipts.push(await makePart({ ...maker, into, signal: stop }, task));
    },
  }));
  await runTasks(tasks, { concurrency: PLAN_LIMITS.partsAtOnce, signal });
  receipts.sort((a, b) => a.number - b.number);
  return { share: share.share, pins: digestOf(pinsOf(share.layers)), receipts, cost: { ...meter } };
}

/** Bytes that making a part takes; one that is streamed holds what is sent, and what comes next. */
export function memoryOf({ kind, start, end }: PartTask): number {
  if (kind !== 'data') return 0;
  return end - start > PLAN_LIMITS.maxDataPart ? 3 * STRIDE : end - start;
}

/** What every part of a job is made with. */
export interface PartMaker {
  readonly writer: Stores['writer'];
  readonly upload: Upload;
  /** The disk's layers, as far as a part needs their tables. */
  readonly layersOf: (slices: readonly (TableSlice | null)[]) => readonly Layer[];
  /** Where the source lies in the same store, for `copy` parts. */
  readonly copySource?: CopySource | undefined;
  readonly zeros?: CopySource | undefined;
  /** Data parts that are longer, in bytes, are streamed: 512 MiB. */
  readonly maxAssembled?: number | undefined;
  /** Where a data part is assembled, whatever is there now: shared memory of its length. */
  readonly into?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Makes one part of whatever kind. */
export async function makePart(maker: PartMaker, task: PartTask): Promise<Receipt> {
  const { writer, upload, copySource, layersOf, signal } = maker;
  if (task.kind === 'zero') return copyZeros(maker, task);
  if (task.kind === 'copy') {
    if (!copySource)
      throw new UnqcowError('INTERNAL', `part ${task.number} is to be copied from a source outside the store`);
    const range = { start: task.host, end: task.host + task.end - task.start };
    return copyPart(writer, upload, task.number, copySource, range, signal);
  }
  const disk: Disk = { size: task.end, layers: layersOf(task.slices) };
  if (task.end - task.start > (maker.maxAssembled ?? PLAN_LIMITS.maxDataPart)) {
    const body = {
      length: task.end - task.start,
      chunks: (stop: AbortSignal) => assembleInOrder(disk, task, { stride: STRIDE, signal: stop }),
    };
    return putStreamedPart(writer, upload, task.number, body, signal);
  }
  const bytes = await assemble(disk, task, { signal, into: maker.into });
  return putPart(writer, upload, task.number, bytes, signal);
}

/** Bytes of a streamed part that are assembled at a time: a multiple of every cluster size. */
const STRIDE = 32 * MiB;

/** Opens what a share names, and overwrites its keys once there are ciphers. A request where there are keys, else none. */
async function openLayers({ stores, vault }: ShareDeps, share: Share, meter: Meter): Promise<PartMaker['layersOf']> {
  const { keys: at, source } = share;
  const keys: JobKeys = at ? await loadKeys(stores, vault, { at, source }) : new Map();
  try {
    return layersOf(stores, share.layers, { meter, keys });
  } finally {
    wipe(keys);
  }
}

/** Opens what a share names, without a request; then puts a part's tables to it. */
function layersOf(
  { reader }: Stores,
  layers: readonly ShareLayer[],
  { meter, keys }: { readonly meter: Meter; readonly keys: JobKeys },
): PartMaker['layersOf'] {
  const opened = layers.map(({ source: pin, data, geometry }) => {
    const source = s3Source(reader, pin, { meter });
    return {
      source,
      data: data ? s3Source(reader, data, { meter }) : source,
      cipher: isEncrypted(geometry) ? cipherOf(keyFor(keys, idOf(pin))) : undefined,
      geometry,
    };
  });
  const files = withCachedTables(opened);
  return (slices) =>
    files.map(({ geometry, ...sources }, i) => ({ ...sources, map: mapOf(geometry, slices[i] ?? null) }));
}

async function copyZeros({ writer, upload, zeros, signal }: PartMaker, task: PartTask): Promise<Receipt> {
  if (!zeros) throw new UnqcowError('INTERNAL', `part ${task.number} needs an object of zeros, and there is none`);
  const length = task.end - task.start;
  const receipt = await copyPart(writer, upload, task.number, zeros, { start: 0, end: length }, signal);
  const expected = toBase64(crc32OfZeros(length));
  if (receipt.crc32 !== undefined && receipt.crc32 !== expected) {
    throw new UnqcowError('CHECKSUM_MISMATCH', `part ${task.number} was to be zeros and has CRC-32 ${receipt.crc32}`);
  }
  return { ...receipt, crc32: expected };
}

/**
 * Records why a share failed, since a failed map says only that it did. A final error replaces a retryable one; a
 * retryable one replaces nothing.
 */
export async function recordFailure(stores: Stores, failure: S3Target, error: UnqcowError): Promise<void> {
  const { code, message, at } = error;
  const record = { code, message, ...(at ? { at } : {}) };
  await putJson(stores.writer, failure, record, { ifAbsent: error.retryable }).catch((refused: unknown) => {
    if (!(refused instanceof UnqcowError && refused.code === 'DESTINATION_EXISTS')) throw refused;
  });
}
