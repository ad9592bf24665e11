/** What the API answers, as far as the console looks at it. `GET /openapi.json` has the whole. */

export interface Place {
  readonly bucket: string;
  readonly prefix: string;
}

export interface Places {
  readonly sources: readonly Place[];
  readonly destinations: readonly Place[];
}

export interface ObjectsPage {
  readonly objects: readonly {
    readonly key: string;
    readonly size: number;
    readonly lastModified: string;
    readonly looksLikeImage: boolean;
  }[];
  readonly prefixes?: readonly string[];
  readonly cursor?: string;
}

export interface Warning {
  readonly code: string;
  readonly message: string;
  readonly at?: string;
}

export interface Snapshot {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly 'disk-size'?: number;
  readonly 'date-sec': number;
  readonly 'vm-clock-nsec': number;
  readonly 'vm-state-size': number;
}

export interface Bitmap {
  readonly name: string;
  readonly granularity: number;
  readonly flags: readonly string[];
}

/** A list, or a page of it. */
export interface Listed<T> {
  readonly count: number;
  readonly next?: number;
  readonly list: readonly T[];
}

export interface ImageInfo {
  readonly filename: string;
  readonly format: string;
  readonly 'virtual-size': number;
  readonly 'actual-size': number;
  readonly 'cluster-size': number;
  readonly encrypted?: boolean;
  readonly 'backing-filename'?: string;
  readonly 'full-backing-filename'?: string;
  readonly 'backing-filename-format'?: string;
  readonly 'dirty-flag'?: boolean;
  readonly 'format-specific'?: { readonly data: Readonly<Record<string, unknown>> };
  readonly unqcow: {
    readonly source: string;
    readonly version: number;
    readonly features?: Readonly<Record<'incompatible' | 'compatible' | 'autoclear', readonly string[]>>;
    readonly snapshots?: Listed<Snapshot>;
    readonly bitmaps?: Listed<Bitmap> & { readonly stale: boolean };
    readonly warnings: readonly Warning[];
  };
}

export interface MapEntry {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly compressed: boolean;
  readonly offset?: number;
}

export interface MapPage {
  readonly map: readonly MapEntry[];
  readonly cursor?: string;
  readonly unqcow: { readonly 'virtual-size': number; readonly warnings: readonly Warning[] };
}

export interface CheckReport {
  readonly 'check-errors': number;
  readonly leaks?: number;
  readonly corruptions?: number;
  readonly 'total-clusters'?: number;
  readonly 'allocated-clusters'?: number;
  readonly 'fragmented-clusters'?: number;
  readonly 'compressed-clusters'?: number;
  readonly unqcow: {
    readonly verdict: 'clean' | 'leaks' | 'corrupt' | 'incomplete';
    readonly findings: readonly { readonly code: string; readonly message: string; readonly at: string }[];
    readonly warnings: readonly Warning[];
  };
}

export interface ConversionRequest {
  readonly source: { readonly bucket: string; readonly key: string };
  readonly destination: { readonly bucket: string; readonly key: string };
  readonly snapshot?: string | undefined;
  readonly options?: { readonly overwrite: boolean };
  readonly gate?: Gate | undefined;
}

/** What of S3 the names inside an image may lead to. */
export interface Gate {
  readonly allow: readonly string[];
  readonly places: Readonly<Record<string, string>>;
  readonly backingFormats: Readonly<Record<string, string>>;
}

export interface ViewRequest extends Pick<ConversionRequest, 'snapshot' | 'gate'> {
  readonly source: { readonly bucket: string; readonly key: string };
  readonly seconds: number;
}

/** A link that reads a disk as raw bytes. */
export interface ViewLink {
  readonly url: string;
  readonly expires: string;
}

export interface EstimateAnswer {
  readonly size: number;
  readonly estimate: {
    readonly seconds: { readonly total: number };
    readonly bytes: { readonly read: number; readonly uploaded: number; readonly copied: number };
    readonly dollars: { readonly total: number; readonly storagePerMonth: number };
  };
}

export interface Amount {
  readonly total: number;
  readonly done: number;
  readonly left: number;
}

export type PartKind = 'data' | 'zero' | 'copy';

export interface Conversion {
  readonly id: string;
  readonly state: 'running' | 'succeeded' | 'failed' | 'stopped';
  readonly source?: { readonly bucket: string; readonly key: string };
  readonly destination?: { readonly bucket: string; readonly key: string };
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly parts?: Amount;
  readonly cells?: string;
  readonly bytes?: Amount;
  readonly result?: {
    readonly size: number;
    readonly crc32?: string;
    readonly proven: boolean;
    readonly parts?: Readonly<Record<PartKind, number>>;
    readonly warnings: readonly Warning[];
  };
  readonly problem?: {
    readonly code: string;
    readonly title: string;
    readonly detail: string;
    readonly cure?: string;
    readonly status: number;
  };
}
