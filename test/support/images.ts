import { randomUUID } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { assemble } from '../../lib/chunk/assemble.ts';
import { type ErrorCode, UnqcowError, type WarningCode } from '../../lib/errors.ts';
import { clusterSizeOf } from '../../lib/format/geometry.ts';
import { diskBatches, mapOf as mapOfSlice, sliceOf } from '../../lib/format/layer.ts';
import { type MapEntry, mapEntries } from '../../lib/format/map.ts';
import { convertHere } from '../../lib/jobs/convert-here.ts';
import type { Gate } from '../../lib/jobs/gate.ts';
import type { HereResult } from '../../lib/jobs/here-request.ts';
import { type DiskOptions, type OpenDisk, type OpenLayer, openDisk } from '../../lib/jobs/open-disk.ts';
import type { ByteRange } from '../../lib/ranges.ts';
import type { ByteSource, OpenSource } from '../../lib/source/byte-source.ts';
import { openFile } from '../../lib/source/file.ts';
import type { Location } from '../../lib/source/location.ts';
import { memorySource } from '../../lib/source/memory.ts';
import { type Meter, metered } from '../../lib/source/metered.ts';

/** A source that also tells which ranges were asked of it, in order. */
export interface Recorded extends OpenSource {
  readonly requests: readonly ByteRange[];
}

export function recorded(source: ByteSource): Recorded {
  const requests: ByteRange[] = [];
  return {
    size: source.size,
    id: source.id,
    requests,
    verify: async () => undefined,
    close: async () => undefined,
    read({ start, end }, options) {
      requests.push({ start, end });
      return source.read({ start, end }, options);
    },
  };
}

/** Bytes that nobody changes or closes, as a source that could be. */
export function openBytes(bytes: Uint8Array): OpenSource {
  return { ...memorySource(bytes), verify: async () => undefined, close: async () => undefined };
}

/** The same, counted. */
export function countedBytes(bytes: Uint8Array, meter: Meter): OpenSource {
  return metered(openBytes(bytes), meter);
}

/** How a disk is opened, and where it lies: the names in it are relative to that. */
export interface PlacedOptions extends DiskOptions {
  readonly location?: Location;
}

const PLACE: Location = { kind: 'file', path: 'disk.qcow2' };

/** Lets an image reach the files in its own folder. What they are is known from the image alone. */
export function besides(path: string, gate: Partial<Gate> = {}): PlacedOptions {
  return {
    location: { kind: 'file', path },
    gate: { allow: [dirname(path)], places: {}, backingFormats: {}, ...gate },
    open: (location) => openFile((location as Location & { kind: 'file' }).path),
  };
}

/** Opens a disk, and closes it and all its files after use. */
async function withDisk<T>(
  source: OpenSource,
  { location = PLACE, ...options }: PlacedOptions,
  use: (disk: OpenDisk) => Promise<T>,
): Promise<T> {
  const disk = await openDisk(source, location, options);
  try {
    return await use(disk);
  } finally {
    await disk.close();
  }
}

/** The whole map, as `unqcow map` prints it. */
export async function mapOf(source: OpenSource, options: PlacedOptions = {}): Promise<MapEntry[]> {
  return withDisk(source, { placesOnly: true, ...options }, (disk) =>
    Array.fromAsync(mapEntries(diskBatches(disk, { start: 0, end: disk.size }), disk.layers)),
  );
}

/** Entries without what `qemu-img` says only from 8.2 on. */
export const asQemu72 = (entries: readonly MapEntry[]) => entries.map(({ compressed: _, ...entry }) => entry);

export interface Converted extends HereResult {
  readonly path: string;
}

/** Converts to a new file in `folder`. */
export async function convertTo(
  folder: string,
  source: OpenSource,
  outputLimit?: number,
  more: PlacedOptions = {},
): Promise<Converted> {
  const path = join(folder, `${randomUUID()}.raw`);
  const result = await convertHere({
    location: PLACE,
    ...more,
    source,
    copySource: undefined,
    target: { kind: 'file', path },
    options: { overwrite: 'never', copyParts: false, zeroParts: false },
    workers: 2,
    outputLimit,
  });
  return { ...result, path };
}

/**
 * The disk as workers make it, a stretch at a time. The stretches suit the clusters of the first layer and of no other, and
 * each is made with only as much of the layers' maps as a worker is sent.
 */
export async function inPieces(source: OpenSource, options: PlacedOptions): Promise<Buffer> {
  return withDisk(source, options, async ({ size, layers }) => {
    const [{ map }] = layers as [OpenLayer];
    const unit = map.geometry.version === 'raw' ? 512 : clusterSizeOf(map.geometry);
    const step = Math.ceil(size / 5 / unit) * unit;
    const pieces: Uint8Array[] = [];
    for (let start = 0; start < size; start += step) {
      const part = { start, end: Math.min(start + step, size) };
      const slices = layers.map((layer) => {
        const sent = JSON.parse(JSON.stringify(sliceOf(layer.map, part)));
        return { ...layer, map: mapOfSlice(layer.map.geometry, sent) };
      });
      pieces.push(await assemble({ size, layers: slices }, part));
    }
    return Buffer.concat(pieces);
  });
}

/** How two disks differ, if they do. */
export function differenceOf(ours: Buffer, theirs: Buffer): string | undefined {
  if (ours.equals(theirs)) return undefined;
  if (ours.length !== theirs.length) return `${ours.length} bytes are not ${theirs.length}`;
  return `other bytes from ${ours.findIndex((byte, i) => byte !== theirs[i])} on`;
}

/** Files of a folder, by name. The image is `disk`. */
export type Files = Readonly<Record<string, Uint8Array>>;

interface FilesCase {
  readonly files: Files;
  /** What the caller says of names inside the image: which of the files they mean, and of what format. */
  readonly places?: Readonly<Record<string, string>>;
  readonly formats?: Readonly<Record<string, string>>;
  readonly options?: DiskOptions;
}

/**
 * An image that may reach the files beside it, and how that must end: refused by a code, or with the bytes that `qemu-img`
 * makes of it, or of `like` where `qemu-img` could not know what the caller says.
 */
export type FilesRow =
  | (FilesCase & { readonly code: ErrorCode; readonly says?: RegExp })
  | (FilesCase & { readonly warnings: readonly WarningCode[]; readonly like?: Files });
export type FilesRows = Readonly<Record<string, FilesRow>>;

/** Writes them to a new folder, and returns the path of the image. */
export async function writeFiles(parent: string, files: Files): Promise<string> {
  const folder = await mkdtemp(join(parent, 'files-'));
  await Promise.all(Object.entries(files).map(([name, bytes]) => writeFile(join(folder, name), bytes)));
  return join(folder, 'disk');
}

/** What a refusal says, and that it is one: anything else that is thrown is a defect. */
export async function refusalOf(work: Promise<unknown>): Promise<UnqcowError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof UnqcowError && error.code !== 'INTERNAL') return error;
    throw error;
  }
}
