import { assemble } from '../chunk/assemble.ts';
import { UnqcowError } from '../errors.ts';
import { type Layer, mapOf, type TableSlice } from '../format/layer.ts';
import type { PartTask } from '../plan/shares.ts';
import { crc32OfZeros, toBase64 } from '../sink/crc32.ts';
import { type CopySource, copyPart, putPart, type Receipt, type S3Target, type Upload } from '../sink/s3-multipart.ts';
import { putJson } from '../sink/s3-object.ts';
import { cached } from '../source/cached.ts';
import { type Meter, newMeter } from '../source/metered.ts';
import { s3Source } from '../source/s3.ts';
import { MiB } from '../units.ts';
import type { Share, ShareLayer, ShareResult } from './conversion.ts';
import { mapOrStop } from './map-or-stop.ts';
import type { Stores } from './stores.ts';

/** Parts that are assembled at the same time may take this much memory together. */
const MEMORY = 256 * MiB;
const MAX_PARTS_AT_ONCE = 4;

/**
 * Makes one share's parts. Safe to run twice: the pin makes the input the same, and an upload of the same part number
 * replaces the same bytes.
 *
 * Costs one request a part, and for data parts the L2 tables and few reads of up to 8 MiB. Memory: 256 MiB of parts, or
 * one part where it is larger, and the reads in flight.
 *
 * @throws UnqcowError `UPLOAD_GONE`, `SOURCE_CHANGED`, `CHECKSUM_MISMATCH`; as `assemble`, `putPart` and `copyPart` do.
 */
export async function convertShare(
  stores: Stores,
  share: Share,
  uploadId: string,
  signal?: AbortSignal,
): Promise<ShareResult> {
  const meter = newMeter();
  const maker: Omit<PartMaker, 'signal'> = {
    writer: stores.writer,
    upload: { ...share.destination, uploadId },
    copySource: share.source,
    layersOf: layersOf(stores, share.layers, meter),
    zeros: share.zeros,
  };
  const longest = Math.max(1, ...share.parts.map(({ kind, start, end }) => (kind === 'data' ? end - start : 1)));
  const concurrency = Math.min(MAX_PARTS_AT_ONCE, Math.max(1, Math.floor(MEMORY / longest)));
  const receipts = await mapOrStop(share.parts, (task, stop) => makePart({ ...maker, signal: stop }, task), {
    concurrency,
    signal,
  });
  return { share: share.share, receipts, cost: { ...meter } };
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
  const bytes = await assemble({ size: task.end, layers: layersOf(task.slices) }, task, { signal });
  return putPart(writer, upload, task.number, bytes, signal);
}

/** Opens what a share names, without a request; then puts a part's tables to it. */
function layersOf({ reader }: Stores, layers: readonly ShareLayer[], meter: Meter): PartMaker['layersOf'] {
  const opened = layers.map(({ source: pin, data, geometry }, i) => {
    const source = s3Source(reader, pin, { meter });
    return {
      source: i === 0 ? source : cached(source),
      data: data ? s3Source(reader, data, { meter }) : source,
      geometry,
    };
  });
  return (slices) =>
    opened.map(({ geometry, ...sources }, i) => ({ ...sources, map: mapOf(geometry, slices[i] ?? null) }));
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
 * Leaves word of why a share failed, since a failed map only says that it did. What ends the job replaces what might
 * have passed with another try; that in turn replaces nothing.
 */
export async function recordFailure(stores: Stores, failure: S3Target, error: UnqcowError): Promise<void> {
  const { code, message, at } = error;
  const word = { code, message, ...(at ? { at } : {}) };
  await putJson(stores.writer, failure, word, { ifAbsent: error.retryable }).catch((refused: unknown) => {
    if (!(refused instanceof UnqcowError && refused.code === 'DESTINATION_EXISTS')) throw refused;
  });
}
