import { cipherOf } from '../chunk/crypto/decrypt.ts';
import { UnqcowError } from '../errors.ts';
import type { OpenOptions } from '../format/checks.ts';
import { assertMappable, type Image, openImage } from '../format/image.ts';
import type { Disk, Layer, LayerCipher } from '../format/layer.ts';
import { type AnyImage, isQcow1, openAny } from '../format/open-any.ts';
import { openQcow1 } from '../format/qcow1/image.ts';
import { type Warnings, withWarnings } from '../format/warnings.ts';
import { assertOutputFits } from '../plan/s3-limits.ts';
import type { OpenSource } from '../source/byte-source.ts';
import type { Location } from '../source/location.ts';
import { withCachedTables } from './cached-disk.ts';
import { type FindOptions, type Found, findQcow1Tables, findTables } from './find-tables.ts';
import { CLOSED, formatFor, type Gate, resolve } from './gate.ts';
import { Losses } from './losses.ts';
import { byPassphrase, type KeyOf, type Passphrases } from './unlock.ts';

/** How far a caller lets us go. */
export interface DiskOptions extends FindOptions {
  readonly gate?: Gate;
  /** Opens a file that an image names and the gate let through. */
  readonly open?: (location: Location) => Promise<OpenSource>;
  readonly passphrases?: Passphrases;
  /** Where the keys of encrypted images come from, if not from `passphrases`. */
  readonly keyOf?: KeyOf | undefined;
  /** Files in a chain, at most. */
  readonly maxDepth?: number;
}

/** A disk that is open, with all files that it lies in. */
export interface OpenDisk extends Disk {
  readonly layers: readonly OpenLayer[];
  /** The first file's, with those of all others. */
  readonly warnings: Warnings;
  /** What a survey found lost, where damage is passed over. */
  readonly losses: Losses | undefined;
  /** @throws UnqcowError `SOURCE_CHANGED` if any of its files was replaced, changed or deleted. */
  verify(): Promise<void>;
  /** Closes the files that were opened on the way, not the first. */
  close(): Promise<void>;
}

export interface OpenLayer extends Layer, Pick<Found, 'metadata' | 'external'> {}

const MAX_DEPTH = 64;

/**
 * Opens a disk: the image, and through the gate the files that it names. Reads each one's header, L1 table and refcount
 * table, and refuses what cannot be converted before a byte of it is. With `salvage`, tables that are damaged are not refused.
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
    const layers = withCachedTables(await opening.chain(source, location));
    const size = (layers[0] as OpenLayer).map.geometry.diskSize;
    return {
      size,
      layers,
      warnings: opening.warnings as Warnings,
      losses: options.salvage ? new Losses() : undefined,
      async verify() {
        await Promise.all([source, ...opening.others].map((each) => each.verify()));
      },
      close: () => opening.close(),
    };
  } catch (error) {
    await opening.close();
    throw withWarnings(error, opening.warnings);
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
    const { snapshot, outputLimit, placesOnly, salvage } = this.#options;
    this.#enter(source);
    const image = await open(source, { cutTables: salvage });
    this.warnings ??= image.warnings;
    if (!isQcow1(image)) assertMappable(image);
    const isFirst = this.#seen.size === 1;
    if (isFirst && snapshot === undefined) assertOutputFits(image.geometry.diskSize, outputLimit);
    const isLocked = image.geometry.encrypted && !placesOnly;
    const cipher = isLocked ? await this.#cipher(image, name) : undefined;
    const found = await this.#tables(image, location, isFirst ? snapshot : undefined);
    this.#gather(image);
    const own: OpenLayer = { ...found, source, cipher };
    return image.backing ? [own, ...(await this.#backing(image.backing, location))] : [own];
  }

  async #tables(image: AnyImage, location: Location, snapshot: DiskOptions['snapshot']): Promise<Found> {
    const options = { ...this.#options, snapshot };
    if (isQcow1(image)) return findQcow1Tables(image, options);
    const dataFile = image.dataFile && (await this.#dataFile(image, location));
    return findTables(image, dataFile, options);
  }

  /** A key that was derived for this disk alone is overwritten once there is a cipher. */
  async #cipher(image: AnyImage, name: string): Promise<LayerCipher> {
    const { keyOf, passphrases = {}, signal } = this.#options;
    const key = await (keyOf ?? byPassphrase(passphrases))(image, name, signal);
    const cipher = cipherOf(key);
    if (!keyOf) key.bytes.fill(0);
    return cipher;
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
    if (warnings === this.warnings) return;
    for (const warning of warnings.list()) this.warnings?.add(warning);
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
    const isRaw = RAW.includes(format);
    if (!isRaw && !Object.hasOwn(OPENERS, format)) {
      throw new UnqcowError(
        'UNSUPPORTED_FEATURE',
        `the backing file ${quoted} is of format ${JSON.stringify(format)}`,
        { at },
      );
    }
    const source = await this.#open(place);
    if (!isRaw) return this.chain(source, place, OPENERS[format as keyof typeof OPENERS], name);
    this.#assertRoom();
    const map = { geometry: { version: 'raw' as const, diskSize: source.size } };
    return [{ map, source, data: source, metadata: undefined, external: false }];
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

type Open = (source: OpenSource, options: OpenOptions) => Promise<AnyImage>;

/** What QEMU reads as it lies: `file` is its name for a file with no format at all. */
const RAW = ['raw', 'file'];
/** A backing file is what its overlay says that it is, whatever it looks like. */
const OPENERS = { qcow: openQcow1, qcow2: openImage } as const satisfies Record<string, Open>;
