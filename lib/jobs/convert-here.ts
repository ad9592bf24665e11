import { assemble } from '../chunk/assemble.ts';
import type { Warning } from '../errors.ts';
import { type Part, planParts } from '../plan/parts.ts';
import { PLAN_LIMITS, S3_LIMITS } from '../plan/s3-limits.ts';
import { type PartTask, shareOut } from '../plan/shares.ts';
import { combineCrc32, crc32Of, crc32OfZeros } from '../sink/crc32.ts';
import { openFileSink } from '../sink/file.ts';
import { abortUpload, type CopySource, createUpload, nameOf, type S3Target } from '../sink/s3-multipart.ts';
import { putWhole } from '../sink/s3-whole.ts';
import { ensureZeros } from '../sink/s3-zeros.ts';
import type { ByteSource, OpenSource } from '../source/byte-source.ts';
import { metered, newMeter } from '../source/metered.ts';
import { countByKind, finishUpload } from './complete-job.ts';
import { type ConversionOptions, type Cost, hexOf, type WorkPlace } from './conversion.ts';
import { makePart } from './convert-share.ts';
import { diskBytes } from './convert-whole.ts';
import { mapOrStop } from './map-or-stop.ts';
import type { Stores } from './stores.ts';
import { openConvertible, type Survey, survey } from './survey.ts';

export type Target =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 's3'; readonly stores: Stores; readonly target: S3Target; readonly work: WorkPlace | undefined };

export interface HereRequest {
  readonly source: OpenSource;
  /** Where the source lies in S3, if it does: long plain runs are then copied within the store. */
  readonly copySource: CopySource | undefined;
  readonly target: Target;
  readonly options: Omit<ConversionOptions, 'maxConcurrency'>;
  /** Parts that are made at the same time, each up to 64 MiB of memory. */
  readonly workers: number;
  readonly outputLimit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called as bytes of disk are done, out of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface HereResult {
  readonly source: string;
  readonly target: string;
  /** Bytes of raw disk. */
  readonly size: number;
  /** Of the whole raw disk, in hexadecimal. */
  readonly crc32?: string | undefined;
  readonly parts?: Readonly<Record<Part['kind'], number>>;
  readonly read: Cost;
  readonly warnings: readonly Warning[];
}

/**
 * Converts on this machine, from a file or S3 to a file or S3, by the same steps as in the cloud: survey, plan, make
 * parts, complete. However it ends, no half-written file, object or open upload stays.
 *
 * @throws UnqcowError as those steps do; the signal's reason if it is aborted.
 */
export async function convertHere(request: HereRequest): Promise<HereResult> {
  const meter = newMeter();
  const { source, target, outputLimit, signal } = request;
  const image = await openConvertible(metered(source, meter), outputLimit);
  const surveyed = await survey(image, signal);
  const made =
    target.kind === 'file'
      ? await toFile(request, target, surveyed, image.source)
      : await toS3(request, target, surveyed, image.source);
  return {
    source: source.id,
    target: target.kind === 'file' ? target.path : nameOf(target.target),
    size: image.geometry.diskSize,
    ...made,
    read: { ...meter },
    warnings: image.warnings.list(),
  };
}

type Made = Pick<HereResult, 'crc32' | 'parts'>;

async function toFile(
  request: HereRequest,
  target: Target & { kind: 'file' },
  { map, cells }: Survey,
  source: ByteSource,
): Promise<Made> {
  const { diskSize } = map.geometry;
  const { options, workers, signal } = request;
  const parts = planParts(cells, { copyParts: false, zeroParts: true });
  const progress = progressOf(request, diskSize);
  const sink = await openFileSink(target.path, diskSize, { overwrite: options.overwrite });
  try {
    const write = async (part: Part, stop: AbortSignal) => {
      const bytes = await assemble(source, map, part, { signal: stop });
      await sink.write(bytes, part.start);
      return crc32Of(bytes);
    };
    const make = async (part: Part, stop: AbortSignal) => {
      const length = part.end - part.start;
      const crc32 = part.kind === 'data' ? await write(part, stop) : crc32OfZeros(length);
      progress(length);
      return { crc32, length };
    };
    const made = await mapOrStop(parts, make, { concurrency: workers, signal });
    await request.source.verify();
    await sink.finish();
    const crc32 = made.reduce((whole, part) => combineCrc32(whole, part.crc32, part.length), 0);
    return { crc32: hexOf(crc32), parts: countByKind(parts) };
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

async function toS3(
  request: HereRequest,
  { stores, target, work }: Target & { kind: 's3' },
  surveyed: Survey,
  source: ByteSource,
): Promise<Made> {
  const { options, signal, copySource } = request;
  const { map, cells } = surveyed;
  const { diskSize } = map.geometry;
  const progress = progressOf(request, diskSize);
  if (diskSize <= PLAN_LIMITS.wholeDisk) {
    const body = diskBytes(source, map, { start: 0, end: diskSize }, () => request.source.verify(), signal);
    const { crc32 } = await putWhole(stores.writer, target, tapped(body, progress), diskSize, {
      overwrite: options.overwrite,
      signal,
    });
    return { crc32: hexOf(crc32) };
  }
  const copyParts = options.copyParts && copySource !== undefined && source.size > S3_LIMITS.minCopySource;
  const parts = planParts(cells, { copyParts, zeroParts: options.zeroParts && work !== undefined });
  const zeros =
    work && parts.some(({ kind }) => kind === 'zero')
      ? await ensureZeros(stores.writer, work.bucket, work.prefix, longestOf(parts))
      : undefined;
  const upload = await createUpload(stores.writer, target);
  try {
    const maker = { writer: stores.writer, upload, source, copySource, geometry: map.geometry, zeros };
    const make = async (task: PartTask, stop: AbortSignal) => {
      const receipt = await makePart({ ...maker, signal: stop }, task);
      progress(receipt.length);
      return receipt;
    };
    const receipts = await mapOrStop([...shareOut(parts, map)].flat(), make, { concurrency: request.workers, signal });
    await request.source.verify();
    const plan = { diskSize, parts, options: { ...options, maxConcurrency: request.workers } };
    const { crc32 } = await finishUpload(stores, upload, plan, receipts);
    return { crc32, parts: countByKind(parts) };
  } catch (error) {
    await abortUpload(stores.writer, upload);
    throw error;
  }
}

const longestOf = (parts: readonly Part[]) =>
  parts.reduce((longest, { kind, start, end }) => (kind === 'zero' ? Math.max(longest, end - start) : longest), 0);

function progressOf({ onProgress }: HereRequest, total: number) {
  let done = 0;
  return (bytes: number) => {
    done += bytes;
    onProgress?.(done, total);
  };
}

async function* tapped(body: AsyncIterable<Uint8Array>, progress: (bytes: number) => void) {
  for await (const chunk of body) {
    yield chunk;
    progress(chunk.length);
  }
}
