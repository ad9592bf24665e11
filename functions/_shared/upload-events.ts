import * as z from 'zod';
import { UnqcowError } from '../../lib/errors.ts';
import { BucketName, ObjectKey } from './schemas.ts';

/** An object that was created, and which version of it. */
export interface Created {
  readonly bucket: string;
  readonly key: string;
  /** As S3's own answers have it, in double quotes. */
  readonly etag: string;
  readonly versionId?: string | undefined;
  /** Grows with each upload of the key: the same bytes uploaded again are another upload. */
  readonly sequencer: string;
}

/** S3's own notification encodes the key as a form does: `+` is a space. It gives the ETag without its quotes. */
const Notification = z.object({
  Records: z.array(
    z
      .object({
        eventSource: z.literal('aws:s3'),
        eventName: z.string(),
        s3: z.object({
          bucket: z.object({ name: BucketName }),
          object: z.object({
            key: z.string(),
            eTag: z.string().optional(),
            versionId: z.string().optional(),
            sequencer: z.string().default(''),
          }),
        }),
      })
      .transform(({ eventName, s3: { bucket, object } }) => ({
        eventName,
        bucket: bucket.name,
        key: decodeForm(object.key),
        etag: object.eTag,
        versionId: object.versionId,
        sequencer: object.sequencer.toUpperCase(),
      })),
  ),
});

const CREATED = 'Object Created';

/** EventBridge gives the key as it is. */
const BridgeEvent = z
  .object({
    source: z.literal('aws.s3'),
    'detail-type': z.literal(CREATED),
    detail: z.object({
      bucket: z.object({ name: BucketName }),
      object: z.object({
        key: ObjectKey,
        etag: z.string(),
        'version-id': z.string().optional(),
        sequencer: z.string().default(''),
      }),
    }),
  })
  .transform(({ detail: { bucket, object } }) => ({
    bucket: bucket.name,
    key: object.key,
    etag: object.etag,
    versionId: object['version-id'],
    sequencer: object.sequencer.toUpperCase(),
  }));

/** EventBridge carries more of S3's events than we asked for. */
const BridgeKind = z.object({ source: z.literal('aws.s3'), 'detail-type': z.string() });

/** What S3 sends once, when the notification is set up. */
const TestEvent = z.object({ Event: z.literal('s3:TestEvent') });

/**
 * The objects that an event says were created; nothing for a test event, and for events of other kinds.
 *
 * @throws ZodError if it is neither S3's notification nor EventBridge's form of it.
 */
export function createdObjects(event: unknown): Created[] {
  if (TestEvent.safeParse(event).success) return [];
  const bridged = BridgeKind.safeParse(event);
  if (bridged.success) return bridged.data['detail-type'] === CREATED ? [created(BridgeEvent.parse(event))] : [];
  return Notification.parse(event)
    .Records.filter(({ eventName }) => eventName.startsWith('ObjectCreated:'))
    .map((record) => created({ ...record, etag: record.etag ?? '' }));
}

function created({ bucket, key, etag, versionId, sequencer }: Created): Created {
  return { bucket, key, etag: `"${etag}"`, ...(versionId ? { versionId } : {}), sequencer };
}

/** @throws UnqcowError `BAD_REQUEST` if it is not form-encoded. */
function decodeForm(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new UnqcowError('BAD_REQUEST', `the key ${JSON.stringify(text)} is not form-encoded`, { at: 'Records' });
  }
}
