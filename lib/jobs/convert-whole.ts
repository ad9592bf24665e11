import { assemble } from '../chunk/assemble.ts';
import { splitRange } from '../ranges.ts';
import type { S3Target } from '../sink/s3-multipart.ts';
import { headObject } from '../sink/s3-object.ts';
import { putWhole } from '../sink/s3-whole.ts';
import { newMeter } from '../source/metered.ts';
import type { S3Pin } from '../source/s3.ts';
import { MiB } from '../units.ts';
import { type ConversionOptions, type ConversionResult, hexOf } from './conversion.ts';
import type { OpenDisk } from './open-disk.ts';
import { openStored, type Selection } from './open-stored.ts';
import type { Stores } from './stores.ts';
import { survey } from './survey.ts';

/** How much of the disk is assembled at a time: a multiple of every cluster size. */
const STRIDE = 16 * MiB;

export interface WholeJob extends Selection {
  readonly job: string;
  readonly source: S3Pin;
  readonly destination: S3Target;
  readonly options: ConversionOptions;
}

/**
 * Converts a small image in one go, streaming. Checks the image's whole map first; if the image is replaced meanwhile,
 * no object comes to be.
 *
 * @throws UnqcowError as `openDisk`, `survey`, `assemble` and `putWhole` do.
 */
export async function convertWhole(stores: Stores, request: WholeJob, signal?: AbortSignal): Promise<ConversionResult> {
  const { job, destination, options } = request;
  const meter = newMeter();
  const { source, disk } = await openStored(stores, request, { meter, signal });
  await survey(disk, signal);
  const { size } = disk;
  const body = diskBytes(disk, signal);
  const { crc32, proven } = await putWhole(stores.writer, destination, body, size, {
    overwrite: options.overwrite,
    signal,
  });
  const object = await headObject(stores.writer, destination);
  return {
    job,
    source: source.pin,
    destination: {
      ...destination,
      etag: object?.etag ?? '',
      ...(object?.versionId ? { versionId: object.versionId } : {}),
    },
    size,
    crc32: hexOf(crc32),
    proven,
    read: { ...meter },
    warnings: disk.warnings.list(),
  };
}

/** The disk's bytes in order. Before the last of them are given away, its files are checked to be the same still. */
export async function* diskBytes(disk: OpenDisk, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  for (const stride of splitRange({ start: 0, end: disk.size }, STRIDE)) {
    const bytes = await assemble(disk, stride, { signal });
    if (stride.end === disk.size) await disk.verify();
    yield bytes;
  }
}
