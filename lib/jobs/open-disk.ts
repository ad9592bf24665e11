import { UnqcowError } from '../errors.ts';
import { assertMappable, type Image, openImage } from '../format/image.ts';
import { activeL1, readL1 } from '../format/l1.ts';
import type { Disk, Layer } from '../format/layer.ts';
import { type MetadataMap, readMetadata } from '../format/metadata.ts';
import { findSnapshot, snapshotDisk } from '../format/snapshot-choice.ts';
import { readSnapshots } from '../format/snapshots.ts';
import type { Warnings } from '../format/warnings.ts';
import { assertOutputFits } from '../plan/s3-limits.ts';
import type { OpenSource } from '../source/byte-source.ts';
import { coalesced } from '../source/coalesced.ts';
import type { Location } from '../source/location.ts';
import { KiB, MiB } from '../units.ts';
import { CLOSED, type Gate, resolve } from './gate.ts';

/** How far a caller lets us go. */
export interface DiskOptions {
  readonly gate?: Gate;
  /** Opens a file that an image names and the gate let through. */
  readonly open?: (location: Location) => Promise<OpenSource>;
  /** The id or name of the snapshot that is meant, instead of the active disk. */
  readonly snapshot?: string | undefined;
  /** Only where the bytes lie is asked, not what they are: an encrypted image needs no key. */
  readonly placesOnly?: boolean;
  /** Files in a chain, at most. */
  readonly maxDepth?: number;
  /** Bytes of raw disk that are too many. */
  readonly outputLimit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A disk that is open, with all files that it lies in. */
export interface OpenDisk extends Disk {
  readonly layers: readonly OpenLayer[];
  /** The first file's, with those of all others. */
  readonly warnings: Warnings;
  /** @throws UnqcowError `SOURCE_CHANGED` if any of its files was replaced, changed or deleted. */
  verify(): Promise<void>;
  /** Closes the files that were opened on the way, not the first. */
  close(): Promise<void>;
}

export interface OpenLayer extends Layer {
  /** What lies where in it; nothing for a raw file. */
  readonly metadata: MetadataMap | undefined;
  /** Whether its bytes are what the disk has: neither encrypted nor in need of anything but copying. */
  readonly plain: boolean;
}

/** The image's small tables often lie side by side. */
const TABLES_TOGETHER = { maxGap: 256 * KiB, maxLength: 8 * MiB };
const MAX_DEPTH = 64;

/**
 * Opens a disk: the image, and through the gate the files that it names. Reads each one's header, L1 table and refcount
 * table, and refuses what cannot be converted before a byte of it is.
 *
 * Costs, for each file: a GET of 64 KiB, and one for the tables; more only where they lie far apart.
 *
 * @throws UnqcowError as `openImage`, `assertMappable`, `readL1`, `readMetadata`, `resolve` do; `KEY_REQUIRED`,
 * `BACKING_FORMAT_REQUIRED`, `BACKING_LOOP`, `BACKING_TOO_DEEP`, `OUTPUT_LIMIT`; with a snapshot as `findSnapshot` and
 * `snapshotDisk` do.
 */
export async function openDisk(source: OpenSource, location: Location, options: DiskOptions = {}): Promise<OpenDisk> {
  const opening = new Opening(options);
  try {
    const layers = await opening.chain(source, location);
    const size = (layers[0] as OpenLayer).map.geometry.diskSize;
    return {
      size,
      layers,
      warnings: opening.warnings as Warnings,
      async verify() {
        await Promise.all([source, ...opening.others].map((each) => each.verify()));
      },
      close: () => opening.close(),
    };
  } catch (error) {
    await opening.close();
    throw error;
  }
}

class Opening {
  readonly others: OpenSource[] = [];
  warnings: Warnings | undefined;
  readonly #options: DiskOptions;
  readonly #seen = new Set<string>();

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  async chain(source: OpenSource, location: Location): Promise<OpenLayer[]> {
    const { snapshot, outputLimit, maxDepth = MAX_DEPTH } = this.#options;
    if (this.#seen.has(source.id)) {
      throw new UnqcowError('BACKING_LOOP', 'the image is its own backing file', { at: 'header.backing_file_offset' });
    }
    if (this.#seen.size >= maxDepth) {
      throw new UnqcowError('BACKING_TOO_DEEP', `the chain has more than ${maxDepth} files`, {
        at: 'header.backing_file_offset',
      });
    }
    const isFirst = this.#seen.size === 0;
    this.#seen.add(source.id);
    const image = await openImage(source);
    this.#gather(image);
    assertMappable(image);
    if (isFirst) assertOutputFits(image.geometry.diskSize, outputLimit);
    if (image.header.cryptMethod !== 0 && !this.#options.placesOnly) {
      throw new UnqcowError('KEY_REQUIRED', 'the image is encrypted', { at: 'header.crypt_method' });
    }
    const data = image.dataFile ? await this.#dataFile(image, location) : source;
    const layer = await this.#layer(image, data, isFirst ? snapshot : undefined);
    return image.backing ? [layer, ...(await this.#backing(image.backing, location))] : [layer];
  }

  /** Warnings of a chain are one list: the first image's. */
  #gather({ warnings }: Image): void {
    if (this.warnings) for (const warning of warnings.list()) this.warnings.add(warning);
    else this.warnings = warnings;
  }

  async #layer(image: Image, data: OpenSource, snapshot: string | undefined): Promise<OpenLayer> {
    const { signal, placesOnly } = this.#options;
    const together: Image = { ...image, source: coalesced(image.source, TABLES_TOGETHER) };
    let { geometry } = image;
    let l1 = activeL1(image);
    if (snapshot !== undefined) {
      const table = await readSnapshots(image, { signal });
      if (table.fault) throw table.fault;
      const chosen = snapshotDisk(image, findSnapshot(table, snapshot));
      geometry = chosen.geometry;
      l1 = { offset: chosen.l1.offset, diskSize: geometry.diskSize };
    }
    const table = readL1(together, signal, l1);
    const metadata = placesOnly ? undefined : await readMetadata(together, table, signal);
    return {
      map: { geometry, firstTable: 0, l2Offsets: await table },
      source: image.source,
      data,
      metadata,
      plain: !geometry.encrypted,
    };
  }

  async #dataFile({ dataFile }: Image, location: Location): Promise<OpenSource> {
    const at = 'header.extensions.data_file';
    const name = dataFile?.name;
    if (name === undefined)
      throw new UnqcowError('EXTERNAL_REF_DENIED', 'the data lies in another file, unnamed', { at });
    return this.#open(resolve(this.#options.gate ?? CLOSED, location, name, at));
  }

  async #backing({ name, format: stated }: NonNullable<Image['backing']>, location: Location): Promise<OpenLayer[]> {
    const gate = this.#options.gate ?? CLOSED;
    const format = stated ?? gate.backingFormats[name] ?? gate.backingFormats[''];
    if (format === undefined) {
      throw new UnqcowError(
        'BACKING_FORMAT_REQUIRED',
        `the backing file ${JSON.stringify(name)} has no stated format`,
        {
          at: 'header.extensions.backing_format',
        },
      );
    }
    const place = resolve(gate, location, name, 'header.backing_file_offset');
    if (format !== 'raw' && format !== 'qcow2') {
      throw new UnqcowError('UNSUPPORTED_FEATURE', `a backing file of format ${JSON.stringify(format)}`, {
        at: 'header.extensions.backing_format',
      });
    }
    const source = await this.#open(place);
    if (format === 'qcow2') return this.chain(source, place);
    const map = { geometry: { version: 'raw' as const, diskSize: source.size } };
    return [{ map, source, data: source, metadata: undefined, plain: true }];
  }

  async #open(location: Location): Promise<OpenSource> {
    const { open } = this.#options;
    if (!open) throw new UnqcowError('EXTERNAL_REF_DENIED', 'no files that an image names are opened here');
    const source = await open(location);
    this.others.push(source);
    return source;
  }

  async close(): Promise<void> {
    await Promise.all(this.others.map((each) => each.close()));
  }
}
