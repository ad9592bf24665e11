import type { Extent } from './extents.ts';

/** A checksum that S3 keeps with an object. `value` is base64, for COMPOSITE followed by `-` and the number of parts. */
export interface Checksum {
  readonly algorithm: 'CRC32' | 'SHA1' | 'SHA256';
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
  readonly value: string;
}

/** What the writer of an object says about it, besides the bytes. Header names are in lower case. */
export interface Description {
  /** Content-Type and its like, given back as they came. */
  readonly headers: Readonly<Record<string, string>>;
  /** What followed `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
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
  readonly checksum?: Checksum;
  /** The multipart upload that it came from. */
  readonly uploadId?: string;
  readonly extents: readonly Extent[];
}

/** A multipart upload as it lies on disk. */
export interface UploadRecord extends Description {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly initiated: number;
  /** The checksum that its parts carry and the object will have. */
  readonly checksum?: { readonly algorithm: 'CRC32'; readonly type: 'FULL_OBJECT' | 'COMPOSITE' };
}

/** What ListParts says about a part. */
export interface PartSummary {
  readonly number: number;
  readonly size: number;
  readonly etag: string;
  readonly crc32: number;
  readonly lastModified: number;
}

/** A part as it lies on disk. */
export interface PartRecord extends PartSummary {
  readonly extents: readonly Extent[];
}
