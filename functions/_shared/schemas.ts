import * as z from 'zod';
import { DEFAULT_OPTIONS } from '../../lib/jobs/conversion.ts';

/** S3's own rules. */
export const BucketName = z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'not a bucket name');
export const ObjectKey = z
  .string()
  .min(1)
  .refine((key) => Buffer.byteLength(key) <= 1024, 'longer than 1,024 bytes');

export const Target = z.object({ bucket: BucketName, key: ObjectKey });
/** With or without its quotes, as people and events have it. */
const ETag = z
  .string()
  .min(1)
  .max(1024)
  .transform((etag) => (etag.startsWith('"') ? etag : `"${etag}"`));

export const Location = Target.extend({ versionId: z.string().max(1024).optional(), etag: ETag.optional() });
export const Pin = Location.extend({ etag: ETag, size: z.int().nonnegative() });

/** What a caller may decide; all that is left out has its default. */
export const Options = z
  .strictObject({
    overwrite: z.boolean().default(DEFAULT_OPTIONS.overwrite),
    copyParts: z.boolean().default(DEFAULT_OPTIONS.copyParts),
    zeroParts: z.boolean().default(DEFAULT_OPTIONS.zeroParts),
    maxConcurrency: z.int().min(1).max(10_000).default(DEFAULT_OPTIONS.maxConcurrency),
  })
  .prefault({});

const S3Url = z
  .string()
  .max(2048)
  .regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\/.*$/s, 'expected s3://bucket/…');

/** What of S3 the names inside an image may lead to. Without it, to nothing. */
const References = z.strictObject({
  allow: z.array(S3Url).max(100).default([]),
  places: z.record(z.string().max(1024), S3Url).default({}),
  backingFormats: z.record(z.string().max(1024), z.enum(['raw', 'qcow', 'qcow2'])).default({}),
});

const Snapshot = z.string().min(1).max(1024);

/** Which disk of an image is meant. */
export const Selection = { snapshot: Snapshot.optional(), gate: References.optional() };

export const Conversion = z.strictObject({
  source: Location,
  destination: Target,
  options: Options,
  ...Selection,
  /** Step Functions asks callers to put it into the input of an execution that another one starts. */
  AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID: z.string().optional(),
});

/** An execution's name, which names the job's records as well. */
export const JobName = z.string().regex(/^[\w.+=@-]{1,80}$/);
