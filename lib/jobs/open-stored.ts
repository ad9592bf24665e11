import { UnqcowError } from '../errors.ts';
import { S3_LIMITS } from '../plan/s3-limits.ts';
import type { ByteSource } from '../source/byte-source.ts';
import type { Meter } from '../source/metered.ts';
import { openS3, type S3Location, type S3Pin, type S3Source } from '../source/s3.ts';
import { CLOSED, type Gate } from './gate.ts';
import { type OpenDisk, openDisk } from './open-disk.ts';
import type { Stores } from './stores.ts';
import type { KeyOf } from './unlock.ts';

/** Which disk of an image is meant, and what it may reach. */
export interface Selection {
  /** A snapshot's id or name, instead of the active disk. */
  readonly snapshot?: string | undefined;
  readonly gate?: Gate | undefined;
}

export const selectionOf = ({ snapshot, gate }: Selection): Selection => ({
  ...(snapshot === undefined ? {} : { snapshot }),
  ...(gate === undefined ? {} : { gate }),
});

export interface OpenStoredOptions {
  readonly meter: Meter;
  readonly signal?: AbortSignal | undefined;
  readonly outputLimit?: number | undefined;
  /** Only where the bytes lie is asked, not what they are: an encrypted image needs no key. */
  readonly placesOnly?: boolean;
  /** Without it, encrypted images are refused. */
  readonly keyOf?: KeyOf | undefined;
}

export interface StoredDisk {
  readonly source: S3Source;
  readonly disk: OpenDisk;
  /** The exact object that one of the disk's files is. */
  readonly pinOf: (source: ByteSource) => S3Pin;
}

/**
 * Opens a disk whose files all lie in S3.
 *
 * @throws UnqcowError as `openDisk` does; `EXTERNAL_REF_DENIED` if the gate leads out of S3.
 */
export async function openStored(
  { reader }: Pick<Stores, 'reader'>,
  { source: location, snapshot, gate = CLOSED }: Selection & { readonly source: S3Location },
  { meter, signal, outputLimit, placesOnly = false, keyOf }: OpenStoredOptions,
): Promise<StoredDisk> {
  const pins = new Map<string, S3Pin>();
  const open = async (place: S3Location) => {
    const opened = await openS3(reader, place, { meter, signal });
    pins.set(opened.id, opened.pin);
    return opened;
  };
  const source = await open(location);
  const disk = await openDisk(
    source,
    { kind: 's3', ...location },
    {
      gate,
      snapshot,
      signal,
      outputLimit,
      placesOnly,
      keyOf,
      open: async (place) => {
        if (place.kind === 's3') return open({ ...place, ...termsOf(location, place) });
        throw new UnqcowError('EXTERNAL_REF_DENIED', `${place.path} is not in S3`);
      },
    },
  );
  return { source, disk, pinOf: ({ id }) => pins.get(id) as S3Pin };
}

/** What was said of the image's bucket holds for all files in it; that we pay for reading, wherever they lie. */
function termsOf({ bucket, owner, requestPayer }: S3Location, place: S3Location) {
  return { ...(place.bucket === bucket ? { owner } : {}), requestPayer };
}

/**
 * Whether ranges of an object may be copied by the store. It must be large enough; and a key with a `%` in it is decoded
 * once too often by Ceph, which might then copy another object without a word.
 */
export function isCopyable({ key, size }: Pick<S3Pin, 'key' | 'size'>): boolean {
  return size > S3_LIMITS.minCopySource && !key.includes('%');
}
