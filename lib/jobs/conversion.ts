import { createHash } from 'node:crypto';
import type { Warning } from '../errors.ts';
import type { Geometry } from '../format/geometry.ts';
import type { Estimate } from '../plan/estimate.ts';
import type { Part } from '../plan/parts.ts';
import type { PartTask } from '../plan/shares.ts';
import type { Overwrite } from '../sink/s3-condition.ts';
import type { Keeping } from '../sink/s3-description.ts';
import type { StoredObject } from '../sink/s3-object.ts';
import type { CopySource, Receipt, S3Target, Upload } from '../sink/s3-target.ts';
import type { S3Pin } from '../source/s3.ts';
import type { Gate } from './gate.ts';

/** What a caller may decide about a conversion. */
export interface ConversionOptions extends Keeping {
  /** What at the destination may be replaced. */
  readonly overwrite: Overwrite;
  /** Whether long plain runs are copied within the store, rather than through us. */
  readonly copyParts: boolean;
  /** Whether runs of zeros are copied from an object of zeros. */
  readonly zeroParts: boolean;
  /** Workers at once. */
  readonly maxConcurrency: number;
}

export const DEFAULT_OPTIONS: ConversionOptions = {
  overwrite: 'own',
  copyParts: true,
  zeroParts: true,
  maxConcurrency: 200,
};

/** Where a job keeps its records: everything under `s3://bucket/prefix`. */
export interface WorkPlace {
  readonly bucket: string;
  /** Empty, or ends in `/`. */
  readonly prefix: string;
}

/** What the plan found, as the state machine carries it on. Whatever grows with the disk lies in the work bucket. */
export type Planned =
  | {
      readonly mode: 'whole';
      readonly job: string;
      readonly source: S3Pin;
      readonly destination: S3Target;
      readonly options: ConversionOptions;
      readonly snapshot?: string | undefined;
      readonly gate?: Gate | undefined;
      readonly keys?: S3Target | undefined;
    }
  | {
      readonly mode: 'parts';
      readonly job: string;
      readonly source: S3Pin;
      readonly destination: S3Target;
      readonly plan: S3Target;
      readonly items: S3Target;
      readonly results: WorkPlace;
      readonly failure: S3Target;
      /** Open, and on record. */
      readonly upload: Pick<Upload, 'uploadId'>;
      readonly keys?: S3Target | undefined;
      readonly maxConcurrency: number;
      readonly shares: number;
    };

/** The whole plan, as `plan.json` holds it: what Complete compares the receipts with. */
export interface PlanRecord {
  readonly job: string;
  readonly source: S3Pin;
  /** Every object that the disk lies in. */
  readonly pins: readonly S3Pin[];
  readonly destination: S3Target;
  readonly options: ConversionOptions;
  readonly diskSize: number;
  readonly parts: readonly Part[];
  readonly warnings: readonly Warning[];
  /** What planning cost. */
  readonly cost: Cost;
  /** What the whole conversion will take, by the cost model. */
  readonly estimate: Estimate;
}

/** One worker's share, as a line of `items.jsonl` holds it: everything that it needs, so that it reads no header and no L1. */
export interface Share {
  readonly share: number;
  readonly source: S3Pin;
  readonly destination: S3Target;
  /** The files of the chain, the image first. */
  readonly layers: readonly ShareLayer[];
  readonly zeros?: CopySource | undefined;
  /** Where the keys of encrypted layers lie, sealed. */
  readonly keys?: S3Target | undefined;
  readonly parts: readonly PartTask[];
}

/** A share that is too long for an item: long chains, small clusters. */
export interface StoredShare {
  readonly share: number;
  readonly at: S3Target;
}

/** One file of a chain, as a worker opens it. */
export interface ShareLayer {
  readonly source: S3Pin;
  /** Where its clusters lie, if not in the same file. */
  readonly data?: S3Pin | undefined;
  readonly geometry: Geometry;
}

/** What a worker gives back. */
export interface ShareResult {
  readonly share: number;
  /** Of what it was made: see `digestOf`. */
  readonly pins: string;
  readonly receipts: readonly Receipt[];
  readonly cost: Cost;
}

/** The objects that a disk lies in, each once for every layer. */
export const pinsOf = (layers: readonly Pick<ShareLayer, 'source' | 'data'>[]): S3Pin[] =>
  layers.flatMap(({ source, data }) => (data ? [source, data] : [source]));

/** Tells versions apart: what two plans of an image that changed between them made must not become one disk. */
export const digestOf = (pins: readonly S3Pin[]): string =>
  createHash('sha256')
    .update(JSON.stringify(pins.map(({ bucket, key, versionId = '', etag }) => [bucket, key, versionId, etag])))
    .digest('hex');

/** What reading the image has cost. */
export interface Cost {
  readonly requests: number;
  readonly bytes: number;
}

export interface ConversionResult {
  readonly job: string;
  readonly source: S3Pin;
  readonly destination: S3Target & { readonly etag: string; readonly versionId?: string | undefined };
  /** Bytes of raw disk. */
  readonly size: number;
  /** Of the whole raw disk, in hexadecimal; missing where the store told no CRC of parts that it copied. */
  readonly crc32?: string | undefined;
  /** Whether the store itself checked that CRC against what it holds. */
  readonly proven: boolean;
  /** How many of each kind; missing where the disk was streamed whole. */
  readonly parts?: Readonly<Record<Part['kind'], number>>;
  readonly read: Cost;
  readonly warnings: readonly Warning[];
}

/** Where the raw disk lies, and which version of the object it is. */
export function destinationOf({ bucket, key, owner, etag, versionId }: StoredObject): ConversionResult['destination'] {
  return { bucket, key, ...(owner ? { owner } : {}), etag, ...(versionId ? { versionId } : {}) };
}

export function hexOf(crc32: number): string {
  return crc32.toString(16).padStart(8, '0');
}
