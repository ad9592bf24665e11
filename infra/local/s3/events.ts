import type { Cause } from './operations/operation.ts';
import { formEncodePath } from './protocol/uri-encode.ts';
import type { ObjectRecord } from './store/records.ts';

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
        readonly sequencer: string;
      };
    };
  }[];
}

let sequence = 0;

/** The notification of one object. Of two for the same key the later has the greater sequencer, compared as text. */
export function createdEvent(region: string, cause: Cause, bucket: string, object: ObjectRecord): S3NotificationEvent {
  sequence = Math.max(sequence + 1, Date.now() * 1000);
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
            sequencer: sequence.toString(16).toUpperCase().padStart(18, '0'),
          },
        },
      },
    ],
  };
}
