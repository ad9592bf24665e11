import { assembleInOrder } from './chunk/in-order.ts';
import { UnqcowError, type Warning } from './errors.ts';
import type { CheckReport } from './format/check/report.ts';
import { type AnyInfo, inspectAny } from './format/inspect.ts';
import { diskBatches } from './format/layer.ts';
import { type MapEntry, mapEntries } from './format/map.ts';
import { openAny } from './format/open-any.ts';
import { cachedDisk } from './jobs/cached-disk.ts';
import { checkDisk } from './jobs/check-disk.ts';
import { type ConversionOptions, DEFAULT_OPTIONS } from './jobs/conversion.ts';
import { convertHere } from './jobs/convert-here.ts';
import { CLOSED, type Gate } from './jobs/gate.ts';
import type { HereRequest, HereResult } from './jobs/here-request.ts';
import type { LostReport } from './jobs/losses.ts';
import { openDisk } from './jobs/open-disk.ts';
import { openStores, type Stores } from './jobs/stores.ts';
import { targetOf } from './jobs/target.ts';
import type { ByteRange } from './ranges.ts';
import type { OpenSource } from './source/byte-source.ts';
import { openFile } from './source/file.ts';
import { type Location, parseLocation } from './source/location.ts';
import { openS3, type S3Pin, type S3Terms } from './source/s3.ts';
import { MiB } from './units.ts';

export { ErrorCodes, UnqcowError, type Warning, WarningCodes } from './errors.ts';
export type { AnyInfo, ByteRange, CheckReport, Gate, HereResult, LostReport, MapEntry, Stores };

/** How S3 is spoken to. */
export interface StoreOptions {
  /** S3 clients; without them, the environment's. Made when S3 is first spoken to. */
  readonly stores?: Stores;
  /** The account that buckets have to belong to: the image's, and those of files that it names. */
  readonly owner?: string;
  /** Whether we pay for reading from buckets whose owners do not. */
  readonly requestPayer?: boolean;
}

export interface OpenOptions extends StoreOptions {
  /** The id or name of a snapshot, instead of the active disk. */
  readonly snapshot?: string;
  /** Damage past the header is passed over: what it hits is lost, and reads as zeros. */
  readonly salvage?: boolean;
  /** By the name that the image above has for a file; under the empty name, for all that have none of their own. */
  readonly passphrases?: Readonly<Record<string, Uint8Array>>;
  /** What the names inside an image may lead to. Without it, to nothing. */
  readonly gate?: Partial<Gate>;
  readonly signal?: AbortSignal;
}

export interface ConvertOptions extends Partial<Omit<ConversionOptions, 'maxConcurrency'>> {
  /** Whether the CRC-32 of a file is wanted, too; an object's is always known. */
  readonly checksum?: boolean;
  /** Parts that are made at the same time, 64 MiB of memory each; from file to file, 4 MiB. Fewer, where parts are longer. */
  readonly workers?: number;
  /** `s3://bucket/prefix/` where an object of zeros may be kept, to copy zeros from. */
  readonly work?: string;
  /** The account that the target's bucket has to belong to. */
  readonly owner?: string;
  /** Bytes of disk that are done, out of how many, and the parts so far by their kinds. */
  readonly onProgress?: NonNullable<HereRequest['onProgress']>;
  readonly signal?: AbortSignal;
}

/** A disk image that is open: what is in it, and the disk that it means. */
export interface DiskImage extends AsyncDisposable {
  /** Bytes of disk. */
  readonly size: number;
  /** What was noticed and does not change the disk's bytes. Grows as the map is walked. */
  readonly warnings: readonly Warning[];
  /** As `qemu-img info --output=json` has it, and more under `"unqcow"`. One GET of 64 KiB, and one more for each list. */
  info(): Promise<AnyInfo>;
  /** As `qemu-img map --output=json` has it, entry by entry. No guest data is read. */
  extents(range?: ByteRange): AsyncIterable<MapEntry>;
  /** The disk's bytes, a piece of up to 8 MiB at a time. */
  stream(range?: ByteRange): AsyncIterable<Uint8Array>;
  /** The disk's bytes at once. */
  read(range: ByteRange): Promise<Uint8Array>;
  /** Writes the disk, raw, to a path or `s3://bucket/key`. However it ends, nothing half-written stays. */
  convert(target: string, options?: ConvertOptions): Promise<HereResult>;
  close(): Promise<void>;
}

/**
 * Opens a QCOW or QCOW2 image: a path, or `s3://bucket/key[?versionId=]`. The version that it opens is the one that it
 * reads: if the file or object is replaced meanwhile, reading ends in `SOURCE_CHANGED`.
 *
 * @throws UnqcowError with a `code` of `ErrorCodes`.
 */
export async function openImage(name: string, options: OpenOptions = {}): Promise<DiskImage> {
  const { snapshot, passphrases, salvage, signal } = options;
  const { open, theStores } = openerBy(options);
  const location = parseLocation(name);
  const source = await open(location);
  const chosen = {
    gate: { ...CLOSED, ...options.gate },
    open,
    snapshot,
    salvage,
    signal,
    ...(passphrases ? { passphrases } : {}),
  };
  const disk = await openDisk(source, location, chosen).catch(async (error) => {
    await source.close();
    throw error;
  });
  const read = cachedDisk(disk, CACHE);
  const whole = { start: 0, end: disk.size };
  const within = (range: ByteRange): ByteRange => {
    if (range.start >= 0 && range.start <= range.end && range.end <= disk.size) return range;
    throw new UnqcowError('BAD_REQUEST', `${range.start} to ${range.end} is not within ${disk.size} bytes of disk`);
  };
  const stream = (range: ByteRange = whole) => assembleInOrder(read, within(range), { signal });

  return {
    size: disk.size,
    get warnings() {
      return disk.warnings.list();
    },
    info: async () => inspectAny(await openAny(source), name),
    extents(range = whole) {
      const batches = diskBatches(read, within(range), { signal, warn: disk.warnings.add });
      return mapEntries(batches, disk.layers);
    },
    stream,
    read: async (range) => Buffer.concat(await Array.fromAsync(stream(range))),
    convert: (target, { workers = 4, work, owner, checksum, onProgress, signal: stop, ...given } = {}) =>
      convertHere({
        ...chosen,
        source,
        location,
        copySource: source.pin,
        target: targetOf(parseLocation(target), work, theStores, owner),
        options: { ...DEFAULT_OPTIONS, ...given },
        workers,
        checksum,
        signal: stop ?? signal,
        ...(onProgress ? { onProgress } : {}),
      }),
    close,
    [Symbol.asyncDispose]: close,
  };

  async function close(): Promise<void> {
    await disk.close();
    await source.close();
  }
}

export interface CheckOptions extends StoreOptions {
  /** Whether every compressed cluster is decompressed, too. */
  readonly deep?: boolean;
  /** Bytes that reference counts may take; a larger image is walked more than once. */
  readonly memory?: number;
  readonly signal?: AbortSignal;
}

/**
 * Checks an image's tables and refcounts, as `qemu-img check --output=json` reports them, and more under `"unqcow"`. An
 * image that is too damaged to be converted can be checked. No file that it names is opened, and no key is needed.
 *
 * @throws UnqcowError where the image cannot be checked. What is wrong with it is no error: it is in the report.
 */
export async function checkImage(name: string, options: CheckOptions = {}): Promise<CheckReport> {
  const source = await openerBy(options).open(parseLocation(name));
  try {
    return await checkDisk(source, { ...options, filename: name });
  } finally {
    await source.close();
  }
}

/** Opens files and objects; makes S3 clients when S3 is first spoken to. */
function openerBy({ stores: given, owner, requestPayer }: StoreOptions) {
  const terms: S3Terms = { owner, requestPayer };
  let stores = given;
  const theStores = () => {
    stores ??= openStores();
    return stores;
  };
  const open = async (place: Location): Promise<OpenSource & { readonly pin?: S3Pin }> =>
    place.kind === 'file' ? openFile(place.path) : openS3(theStores().reader, { ...place, ...terms });
  return { open, theStores };
}

/** Of all files of a chain together. */
const CACHE = { maxBytes: 32 * MiB };
