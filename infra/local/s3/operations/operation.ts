import type { S3Request } from '../protocol/request.ts';
import type { ObjectRecord } from '../store/records.ts';
import type { Store } from '../store/store.ts';

/** What goes back to the client. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** XML, or an object's bytes, whose number is in the headers. */
  readonly body?: string | AsyncIterable<Buffer>;
  /** Called once the body is sent or given up: lets go of what was held for it. */
  readonly done?: () => Promise<void>;
}

/** How an object came to be, as S3's notifications call it. */
export type Cause = 'Put' | 'Copy' | 'CompleteMultipartUpload';

/** An object that came to be. */
export interface Created {
  readonly cause: Cause;
  readonly bucket: string;
  readonly object: ObjectRecord;
  readonly requestId: string;
  readonly isVersioned: boolean;
}

/** What operations work with. */
export interface Context {
  readonly store: Store;
  readonly region: string;
  /** To be called when an object is on disk. */
  readonly created: (created: Created) => void;
}

/** Answers a request whose signature is right, or throws an S3Error. */
export type Operation = (request: S3Request, context: Context) => Promise<Answer>;
