import type { Algorithm, ChecksumType } from '../checksums/algorithms.ts';
import type { Extent } from './extents.ts';

/** A checksum that S3 keeps with an object. `value` is base64, for COMPOSITE followed by `-` and the number of parts. */
export interface Checksum {
  readonly algorithm: Algorithm;
  readonly type: ChecksumType;
  readonly value: string;
}

/** How an object is kept. Nothing here is truly encrypted, archived or dearer. */
export interface Keeping {
  readonly storageClass: string;
  readonly sse: string;
  readonly kmsKey?: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** What the writer of an object says about it, besides the bytes. Header names are in lower case. */
export interface Description {
  /** Content-Type and its like, given back as they came. */
  readonly headers: Readonly<Record<string, string>>;
  /** What followed `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Nothing for what says that there is no object. */
  readonly keeping?: Keeping;
}

/** What a listing says about an object. Size in bytes, times in milliseconds since 1970, ETags without their quotes. */
export interface ObjectSummary {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  readonly lastModified: number;
}

/** An object as it lies on disk. */
export interface ObjectRecord extends ObjectSummary, Description {
  /** Names this writing of the object: another one of the same key has another. */
  readonly version: string;
  /** As S3 names it: `null` for what was written without versioning. */
  readonly versionId: string;
  /** Of two writings in one bucket the later has the greater. */
  readonly sequence: number;
  /** Whether this is no object, but says that there is none any more. */
  readonly isMarker?: boolean;
  readonly checksum?: Checksum;
  /** The multipart upload that it came from. */
  readonly uploadId?: string;
  readonly extents: readonly Extent[];
}

/** An object before it has a place among its key's versions. */
export type ObjectContent = Omit<ObjectRecord, 'version' | 'versionId' | 'sequence' | 'lastModified'>;

/** Whether a bucket keeps what is replaced and deleted. Suspended, it keeps what it has. */
export type Versioning = 'Enabled' | 'Suspended';

/** A multipart upload as it lies on disk. */
export interface UploadRecord extends Description {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly initiated: number;
  /** The checksum that its parts carry and the object will have. */
  readonly checksum?: Omit<Checksum, 'value'>;
}

/** What ListParts says about a part. */
export interface PartSummary {
  readonly number: number;
  readonly size: number;
  readonly etag: string;
  /** Of the upload's algorithm, in base64. */
  readonly checksum?: string;
  readonly lastModified: number;
}

/** A part as it lies on disk. */
export interface PartRecord extends PartSummary {
  readonly extents: readonly Extent[];
}
