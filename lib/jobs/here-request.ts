import type { Warning } from '../errors.ts';
import type { Part } from '../plan/parts.ts';
import type { CopySource, S3Target } from '../sink/s3-target.ts';
import type { OpenSource } from '../source/byte-source.ts';
import type { Location } from '../source/location.ts';
import type { ConversionOptions, Cost, WorkPlace } from './conversion.ts';
import type { LostReport } from './losses.ts';
import type { DiskOptions } from './open-disk.ts';
import type { Stores } from './stores.ts';

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
  /** Whether a file's CRC-32 is wanted, too. An object's is always known: S3 proves it. */
  readonly checksum?: boolean | undefined;
  /**
   * Parts that are made at the same time, 64 MiB of memory each; from file to file, 4 MiB. Of longer parts, as many as fit
   * that together, and one at least.
   */
  readonly workers: number;
  /** Bytes of disk up to which an object is one stream instead of parts. */
  readonly streamUpTo?: number;
  /** Called as bytes of disk are done, out of how many, with the parts so far by their kinds. */
  readonly onProgress?: (done: number, total: number, parts: PartCounts) => void;
}

/** How many of each kind are done. */
export type PartCounts = Readonly<Partial<Record<Part['kind'], number>>>;

export interface HereResult {
  readonly source: string;
  readonly target: string;
  /** Bytes of raw disk. */
  readonly size: number;
  /** Of the whole raw disk, in hexadecimal; of a file where it was asked for. */
  readonly crc32?: string | undefined;
  readonly parts?: Readonly<Record<Part['kind'], number>>;
  readonly read: Cost;
  readonly warnings: readonly Warning[];
  /** What is zeros since the image is damaged; only where that was to be passed over. */
  readonly lost?: LostReport;
}
