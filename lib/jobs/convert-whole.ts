import { assemble } from '../chunk/assemble.ts';
import type { GuestMap } from '../format/extents.ts';
import { type ByteRange, splitRange } from '../ranges.ts';
import type { S3Target } from '../sink/s3-multipart.ts';
import { headObject } from '../sink/s3-object.ts';
import { putWhole } from '../sink/s3-whole.ts';
import type { ByteSource } from '../source/byte-source.ts';
import { newMeter } from '../source/metered.ts';
import { openS3, type S3Pin } from '../source/s3.ts';
import { MiB } from '../units.ts';
import { type ConversionOptions, type ConversionResult, hexOf } from './conversion.ts';
import type { Stores } from './stores.ts';
import { openConvertible, survey } from './survey.ts';

/** How much of the disk is assembled at a time: a multiple of every cluster size. */
const STRIDE = 16 * MiB;

export interface WholeJob {
  readonly job: string;
  readonly source: S3Pin;
  readonly destination: S3Target;
  readonly options: ConversionOptions;
}

/**
 * Converts a small image in one go, streaming. Checks the image's whole map first; if the image is replaced meanwhile,
 * no object comes to be.
 *
 * @throws UnqcowError as `openConvertible`, `survey`, `assemble` and `putWhole` do.
 */
export async function convertWhole(stores: Stores, request: WholeJob, signal?: AbortSignal): Promise<ConversionResult> {
  const { job, destination, options } = request;
  const meter = newMeter();
  const source = await openS3(stores.reader, request.source, { meter });
  const image = await openConvertible(source);
  const { map } = await survey(image, signal);
  const size = image.geometry.diskSize;
  const body = diskBytes(source, map, { start: 0, end: size }, () => source.verify(), signal);
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
    warnings: image.warnings.list(),
  };
}

/** The disk's bytes in order. Before the last of them are given away, the source is checked to be the same still. */
export async function* diskBytes(
  source: ByteSource,
  map: GuestMap,
  range: ByteRange,
  verify: () => Promise<void>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (const stride of splitRange(range, STRIDE)) {
    const bytes = await assemble(source, map, stride, { signal });
    if (stride.end === range.end) await verify();
    yield bytes;
  }
}
