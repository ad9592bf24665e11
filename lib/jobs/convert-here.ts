import { assemble } from '../chunk/assemble.ts';
import { UnqcowError, type Warning } from '../errors.ts';
import type { Cells } from '../plan/cells.ts';
import { type Part, planParts } from '../plan/parts.ts';
import { PLAN_LIMITS } from '../plan/s3-limits.ts';
import { type PartTask, shareOut } from '../plan/shares.ts';
import { combineCrc32, crc32Of, crc32OfZeros } from '../sink/crc32.ts';
import { openFileSink } from '../sink/file.ts';
import { abortUpload, type CopySource, createUpload, nameOf, type S3Target } from '../sink/s3-multipart.ts';
import { putWhole } from '../sink/s3-whole.ts';
import { ensureZeros } from '../sink/s3-zeros.ts';
import type { OpenSource } from '../source/byte-source.ts';
import { fileId } from '../source/file.ts';
import type { Location } from '../source/location.ts';
import { metered, newMeter } from '../source/metered.ts';
import { countByKind, finishUpload } from './complete-job.ts';
import { type ConversionOptions, type Cost, hexOf, type WorkPlace } from './conversion.ts';
import { makePart } from './convert-share.ts';
import { diskBytes } from './convert-whole.ts';
import { mapOrStop } from './map-or-stop.ts';
import { type DiskOptions, type OpenDisk, openDisk } from './open-disk.ts';
import { isCopyable } from './open-stored.ts';
import type { Stores } from './stores.ts';
import { survey } from './survey.ts';

export type Target =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 's3'; readonly stores: Stores; readonly target: S3Target; readonly work: WorkPlace | undefined };

export interface HereRequest extends DiskOptions {
  readonly source: OpenSource;
  /** Where it lies: names inside it are relative to that. */
  readonly location: Location;
  /** Where the source lies in S3, if it does: long plain runs are then copied within the store. */
  readonly copySource: (CopySource & { readonly size: number }) | undefined;
  readonly target: Target;
  readonly options: Omit<ConversionOptions, 'maxConcurrency'>;
  /** Parts that are made at the same time, each up to 64 MiB of memory. */
  readonly workers: number;
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
  const { source, target, signal } = request;
  const counted = (each: OpenSource): OpenSource => ({ ...each, ...metered(each, meter) });
  const open = request.open && (async (location: Location) => counted(await (request.open as Opener)(location)));
  const disk = await openDisk(counted(source), request.location, { ...request, ...(open ? { open } : {}) });
  try {
    await assertElsewhere(disk, target);
    const cells = await survey(disk, signal);
    const made =
      target.kind === 'file' ? await toFile(request, target, disk, cells) : await toS3(request, target, disk, cells);
    return {
      source: source.id,
      target: target.kind === 'file' ? target.path : nameOf(target.target),
      size: disk.size,
      ...made,
      read: { ...meter },
      warnings: disk.warnings.list(),
    };
  } finally {
    await disk.close();
  }
}

/** @throws UnqcowError `BAD_REQUEST` if the target is a file that the disk is read from. */
async function assertElsewhere(disk: OpenDisk, target: Target): Promise<void> {
  const own = target.kind === 'file' ? await fileId(target.path) : `${nameOf(target.target)}#`;
  if (
    own === undefined ||
    !disk.layers.some(({ source, data }) => source.id.startsWith(own) || data.id.startsWith(own))
  )
    return;
  throw new UnqcowError('BAD_REQUEST', 'the target is one of the files that the disk is read from', { at: 'target' });
}

type Opener = NonNullable<DiskOptions['open']>;
type Made = Pick<HereResult, 'crc32' | 'parts'>;

async function toFile(
  request: HereRequest,
  target: Target & { kind: 'file' },
  disk: OpenDisk,
  cells: Cells,
): Promise<Made> {
  const { options, workers, signal } = request;
  const parts = planParts(cells, { copyParts: false, zeroParts: true });
  const progress = progressOf(request, disk.size);
  const sink = await openFileSink(target.path, disk.size, { overwrite: options.overwrite });
  try {
    const write = async (part: Part, stop: AbortSignal) => {
      const bytes = await assemble(disk, part, { signal: stop });
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
    await disk.verify();
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
  disk: OpenDisk,
  cells: Cells,
): Promise<Made> {
  const { options, signal, copySource } = request;
  const { size: diskSize } = disk;
  const progress = progressOf(request, diskSize);
  if (diskSize <= PLAN_LIMITS.wholeDisk) {
    const body = diskBytes(disk, signal);
    const { crc32 } = await putWhole(stores.writer, target, tapped(body, progress), diskSize, {
      overwrite: options.overwrite,
      signal,
    });
    return { crc32: hexOf(crc32) };
  }
  const copyParts = options.copyParts && copySource !== undefined && isCopyable(copySource);
  const parts = planParts(cells, { copyParts, zeroParts: options.zeroParts && work !== undefined });
  const zeros =
    work && parts.some(({ kind }) => kind === 'zero')
      ? await ensureZeros(stores.writer, work.bucket, work.prefix, longestOf(parts))
      : undefined;
  const upload = await createUpload(stores.writer, target);
  try {
    const maker = { writer: stores.writer, upload, copySource, layersOf: () => disk.layers, zeros };
    const make = async (task: PartTask, stop: AbortSignal) => {
      const receipt = await makePart({ ...maker, signal: stop }, task);
      progress(receipt.length);
      return receipt;
    };
    const receipts = await mapOrStop([...shareOut(parts, [])].flat(), make, { concurrency: request.workers, signal });
    await disk.verify();
    const plan = { diskSize, parts, options: { ...options, maxConcurrency: request.workers } };
    const { crc32 } = await finishUpload(stores, upload, plan, receipts);
    return { crc32, parts: countByKind(parts) };
  } catch (error) {
    // What went wrong is worth more than that the abort did, too.
    await abortUpload(stores.writer, upload).catch(() => undefined);
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
