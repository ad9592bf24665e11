import { randomUUID } from 'node:crypto';
import type { Cause, Created } from './operations/operation.ts';
import { formEncodePath } from './protocol/uri-encode.ts';

/** What S3 sends when an object was created. `key` is form-encoded: a space is `+`. `size` in bytes, `eTag` unquoted. */
export interface S3NotificationEvent {
  readonly Records: readonly {
    readonly eventVersion: '2.1';
    readonly eventSource: 'aws:s3';
    readonly awsRegion: string;
    readonly eventTime: string;
    readonly eventName: `ObjectCreated:${Cause}`;
    readonly s3: {
      readonly s3SchemaVersion: '1.0';
      readonly configurationId: string;
      readonly bucket: { readonly name: string; readonly arn: string };
      readonly object: {
        readonly key: string;
        readonly size: number;
        readonly eTag: string;
        readonly versionId?: string;
        readonly sequencer: string;
      };
    };
  }[];
}

/** What EventBridge gets of the same. `key` is not encoded in any way. `size` in bytes, `etag` unquoted. */
export interface S3EventBridgeEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': 'Object Created';
  readonly source: 'aws.s3';
  readonly account: string;
  /** To the second. */
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: {
    readonly version: '0';
    readonly bucket: { readonly name: string };
    readonly object: {
      readonly key: string;
      readonly size: number;
      readonly etag: string;
      readonly 'version-id'?: string;
      readonly sequencer: string;
    };
    readonly 'request-id': string;
    readonly requester: string;
    readonly 'source-ip-address': string;
    readonly reason: `${Cause}Object` | Cause;
  };
}

const ACCOUNT = '000000000000';

let sequence = 0;

/** Of two for the same key the later is the greater, compared as text. */
export function nextSequencer(): string {
  sequence = Math.max(sequence + 1, Date.now() * 1000);
  return sequence.toString(16).toUpperCase().padStart(18, '0');
}

/** @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html */
export function notificationOf(region: string, created: Created, sequencer: string): S3NotificationEvent {
  const { cause, bucket, object, isVersioned } = created;
  return {
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        awsRegion: region,
        eventTime: new Date(object.lastModified).toISOString(),
        eventName: `ObjectCreated:${cause}`,
        s3: {
          s3SchemaVersion: '1.0',
          configurationId: 'local',
          bucket: { name: bucket, arn: `arn:aws:s3:::${bucket}` },
          object: {
            key: formEncodePath(object.key),
            size: object.size,
            eTag: object.etag,
            ...(isVersioned && { versionId: object.versionId }),
            sequencer,
          },
        },
      },
    ],
  };
}

/** @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html */
export function eventBridgeOf(region: string, created: Created, sequencer: string): S3EventBridgeEvent {
  const { cause, bucket, object, isVersioned, requestId } = created;
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Object Created',
    source: 'aws.s3',
    account: ACCOUNT,
    time: `${new Date(object.lastModified).toISOString().slice(0, 19)}Z`,
    region,
    resources: [`arn:aws:s3:::${bucket}`],
    detail: {
      version: '0',
      bucket: { name: bucket },
      object: {
        key: object.key,
        size: object.size,
        etag: object.etag,
        ...(isVersioned && { 'version-id': object.versionId }),
        sequencer,
      },
      'request-id': requestId,
      requester: ACCOUNT,
      'source-ip-address': '127.0.0.1',
      reason: cause === 'CompleteMultipartUpload' ? cause : `${cause}Object`,
    },
  };
}
