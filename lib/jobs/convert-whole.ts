import { assemble } from '../chunk/assemble.ts';
import { PLAN_LIMITS } from '../plan/s3-limits.ts';
import { splitRange } from '../ranges.ts';
import { describeRaw } from '../sink/s3-description.ts';
import { storedAs } from '../sink/s3-object.ts';
import { replacing } from '../sink/s3-replacing.ts';
import type { S3Target } from '../sink/s3-target.ts';
import { putWhole, type WholeOptions } from '../sink/s3-whole.ts';
import { newMeter } from '../source/metered.ts';
import type { S3Pin } from '../source/s3.ts';
import { MiB } from '../units.ts';
import { type ConversionOptions, type ConversionResult, destinationOf, hexOf } from './conversion.ts';
import type { OpenDisk } from './open-disk.ts';
import { openStored, type Selection } from './open-stored.ts';
import type { Stores } from './stores.ts';
import { survey } from './survey.ts';
import { byJobKeys, loadKeys, type Vault, wipe } from './vault.ts';

/** How much of the disk is assembled at a time: a multiple of every cluster size. */
const STRIDE = 16 * MiB;

export interface WholeJob extends Selection {
  readonly job: string;
  readonly source: S3Pin;
  readonly destination: S3Target;
  readonly options: ConversionOptions;
  /** Where Plan left the keys of encrypted images. */
  readonly keys?: S3Target | undefined;
}

export interface WholeDeps {
  readonly stores: Stores;
  readonly vault?: Vault | undefined;
}

/**
 * Converts a small image in one go, streaming. Checks the image's whole map first; if the image is replaced meanwhile,
 * no object comes to be.
 *
 * @throws UnqcowError as `openDisk`, `survey`, `assemble`, `putWhole`, `storedAs` and `loadKeys` do.
 */
export async function convertWhole(
  { stores, vault }: WholeDeps,
  request: WholeJob,
  { onUpload, signal }: Pick<WholeOptions, 'onUpload' | 'signal'> = {},
): Promise<ConversionResult> {
  const { job, destination, options } = request;
  const meter = newMeter();
  const keys = request.keys && (await loadKeys(stores, vault, { at: request.keys, source: request.source }));
  const opening = openStored(stores, request, { meter, signal, keyOf: keys && byJobKeys(keys) });
  const { source, disk } = await opening.finally(() => keys && wipe(keys));
  await survey(disk, signal);
  const { size } = disk;
  const put = { description: describeRaw(options, source.pin), partSize: PLAN_LIMITS.wholePart, onUpload, signal };
  const { crc32, proven, written } = await replacing(stores.writer, destination, options.overwrite, (condition) =>
    putWhole(stores.writer, destination, diskBytes(disk, signal), size, { ...put, condition }),
  );
  return {
    job,
    source: source.pin,
    destination: destinationOf(await storedAs(stores.writer, destination, size, written)),
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
