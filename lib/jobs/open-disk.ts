import { decryptorOf } from '../chunk/crypto/decrypt.ts';
import { UnqcowError } from '../errors.ts';
import { assertMappable, type Image, openImage } from '../format/image.ts';
import { activeL1, readL1 } from '../format/l1.ts';
import type { Disk, Layer } from '../format/layer.ts';
import { type MetadataMap, readMetadata } from '../format/metadata.ts';
import { type AnyImage, isQcow1, openAny } from '../format/open-any.ts';
import { openQcow1, type Qcow1Image } from '../format/qcow1/image.ts';
import { readQcow1Map } from '../format/qcow1/l1.ts';
import { Qcow1Metadata } from '../format/qcow1/metadata.ts';
import { findSnapshot, snapshotDisk } from '../format/snapshot-choice.ts';
import { readSnapshots } from '../format/snapshots.ts';
import type { Warnings } from '../format/warnings.ts';
import { assertOutputFits } from '../plan/s3-limits.ts';
import type { OpenSource } from '../source/byte-source.ts';
import { cached } from '../source/cached.ts';
import { coalesced } from '../source/coalesced.ts';
import type { Location } from '../source/location.ts';
import { KiB, MiB } from '../units.ts';
import { CLOSED, formatFor, type Gate, resolve } from './gate.ts';
import { type Passphrases, passphraseFor, unlock } from './unlock.ts';

/** How far a caller lets us go. */
export interface DiskOptions {
  readonly gate?: Gate;
  /** Opens a file that an image names and the gate let through. */
  readonly open?: (location: Location) => Promise<OpenSource>;
  /** The id or name of the snapshot that is meant, instead of the active disk. */
  readonly snapshot?: string | undefined;
  readonly passphrases?: Passphrases;
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
  readonly metadata: Pick<MetadataMap, 'assertClear'> | undefined;
  /** Whether its bytes are what the disk has, and not encrypted. */
  readonly plain: boolean;
  /** Whether its clusters lie in a file of their own. */
  readonly external: boolean;
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
 * @throws UnqcowError as `openImage`, `assertMappable`, `readL1`, `readMetadata`, `resolve`, `unlock` do;
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

  /** @param name What the image above calls it; empty for the first. */
  async chain(source: OpenSource, location: Location, open: Open = openAny, name = ''): Promise<OpenLayer[]> {
    const { snapshot, outputLimit, placesOnly, passphrases = {}, signal } = this.#options;
    this.#enter(source);
    const image = await open(source);
    this.#gather(image);
    if (!isQcow1(image)) assertMappable(image);
    const isFirst = this.#seen.size === 1;
    if (isFirst) assertOutputFits(image.geometry.diskSize, outputLimit);
    const key = placesOnly ? undefined : await unlock(image, passphraseFor(passphrases, name), signal);
    const cipher = key && { numbering: key.numbering, decrypt: decryptorOf(key) };
    const chosen = isFirst ? snapshot : undefined;
    const found = isQcow1(image) ? await this.#version1(image, chosen) : await this.#version2(image, location, chosen);
    // Tables of a backing file are looked up piece by piece, between the pieces that the files above have.
    const tables = isFirst ? source : cached(source);
    const own: OpenLayer = { ...found, source: tables, cipher, plain: !image.geometry.encrypted };
    return image.backing ? [own, ...(await this.#backing(image.backing, location))] : [own];
  }

  #enter({ id }: OpenSource): void {
    const at = 'header.backing_file_offset';
    if (this.#seen.has(id)) throw new UnqcowError('BACKING_LOOP', 'the image is its own backing file', { at });
    this.#assertRoom();
    this.#seen.add(id);
  }

  /** A raw file at the end of a chain is one of its files, too. */
  #assertRoom(): void {
    const { maxDepth = MAX_DEPTH } = this.#options;
    if (this.#seen.size < maxDepth) return;
    throw new UnqcowError('BACKING_TOO_DEEP', `the chain has more than ${maxDepth} files`, {
      at: 'header.backing_file_offset',
    });
  }

  /** Warnings of a chain are one list: the first image's. */
  #gather({ warnings }: AnyImage): void {
    if (this.warnings) for (const warning of warnings.list()) this.warnings.add(warning);
    else this.warnings = warnings;
  }

  async #version2(image: Image, location: Location, snapshot: string | undefined): Promise<Found> {
    const { signal, placesOnly } = this.#options;
    const data = image.dataFile ? await this.#dataFile(image, location) : image.source;
    const together: Image = { ...image, source: coalesced(image.source, TABLES_TOGETHER) };
    const { geometry, l1 } =
      snapshot === undefined
        ? { geometry: image.geometry, l1: activeL1(image) }
        : await snapshotOf(image, snapshot, signal);
    const table = readL1(together, signal, l1);
    const metadata = placesOnly ? undefined : await readMetadata(together, table, signal);
    const map = { geometry, firstTable: 0, l2Offsets: await table };
    return { map, data, metadata, external: image.dataFile !== undefined };
  }

  async #version1(image: Qcow1Image, snapshot: string | undefined): Promise<Found> {
    if (snapshot !== undefined) {
      throw new UnqcowError('SNAPSHOT_NOT_FOUND', 'version 1 has no snapshots', { at: 'header.version' });
    }
    const { source, warnings } = image;
    const map = await readQcow1Map(image, { signal: this.#options.signal, warn: warnings.add });
    const metadata = new Qcow1Metadata(image, 'l2Offsets' in map ? map.l2Offsets : []);
    return { map, data: source, metadata, external: false };
  }

  async #dataFile({ dataFile, source }: Image, location: Location): Promise<OpenSource> {
    const at = 'header.extensions.data_file';
    const name = dataFile?.name;
    const denied = (message: string) => new UnqcowError('EXTERNAL_REF_DENIED', message, { at });
    if (name === undefined) throw denied('the data lies in another file, unnamed');
    const data = await this.#open(resolve(this.#options.gate ?? CLOSED, location, name, at));
    if (data.id === source.id) throw denied('the image is its own data file');
    return data;
  }

  async #backing({ name, format: stated }: NonNullable<AnyImage['backing']>, location: Location): Promise<OpenLayer[]> {
    const gate = this.#options.gate ?? CLOSED;
    const format = stated ?? formatFor(gate, name);
    const at = 'header.extensions.backing_format';
    const quoted = JSON.stringify(name);
    if (format === undefined) {
      throw new UnqcowError('BACKING_FORMAT_REQUIRED', `the backing file ${quoted} has no stated format`, { at });
    }
    const place = resolve(gate, location, name, 'header.backing_file_offset');
    if (format !== 'raw' && !Object.hasOwn(OPENERS, format)) {
      throw new UnqcowError(
        'UNSUPPORTED_FEATURE',
        `the backing file ${quoted} is of format ${JSON.stringify(format)}`,
        { at },
      );
    }
    const source = await this.#open(place);
    if (format !== 'raw') return this.chain(source, place, OPENERS[format as keyof typeof OPENERS], name);
    this.#assertRoom();
    const map = { geometry: { version: 'raw' as const, diskSize: source.size } };
    return [{ map, source, data: source, metadata: undefined, plain: true, external: false }];
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

/** What of a layer each version finds in its own way. */
type Found = Pick<OpenLayer, 'map' | 'data' | 'metadata' | 'external'>;

type Open = (source: OpenSource) => Promise<AnyImage>;

/** A backing file is what its overlay says that it is, whatever it looks like. */
const OPENERS = { qcow: openQcow1, qcow2: openImage } as const satisfies Record<string, Open>;

/** Where a snapshot's disk is found, in place of the active one's. */
async function snapshotOf(image: Image, wanted: string, signal: AbortSignal | undefined) {
  const { geometry, l1 } = snapshotDisk(image, findSnapshot(await readSnapshots(image, { signal }), wanted));
  return { geometry, l1: { offset: l1.offset, diskSize: geometry.diskSize } };
}
