import * as z from 'zod';
import { DEFAULT_OPTIONS } from '../../lib/jobs/conversion.ts';
import { namedOrAll, namedPlace } from '../../lib/named.ts';
import { OVERWRITES } from '../../lib/sink/s3-condition.ts';
import { ENCRYPTIONS, STORAGE_CLASSES } from '../../lib/sink/s3-description.ts';
import { SecretArn } from './config.ts';

/** S3's own rules. */
export const BucketName = z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'not a bucket name');
export const ObjectKey = z
  .string()
  .min(1)
  .refine((key) => Buffer.byteLength(key) <= 1024, 'longer than 1,024 bytes')
  .refine((key) => key.isWellFormed(), 'not Unicode');

/** An account that a bucket has to belong to: another's of the same name is not used. */
const Account = z.string().regex(/^\d{12}$/, 'not an account');

/** On which terms a bucket is read: whose it has to be, and whether we pay for it. */
export const Terms = { owner: Account.optional(), requestPayer: z.boolean().optional() };

/** The same in a query. */
export const TermsQuery = {
  owner: Terms.owner.describe('The account that the bucket has to belong to.'),
  requestPayer: z
    .enum(['true', 'false'])
    .transform((said) => said === 'true')
    .optional()
    .describe('Whether the deployment pays for what is read, where the bucket’s owner does not.'),
};

export const Target = z.object({ bucket: BucketName, key: ObjectKey, owner: Account.optional() });
/** With or without its quotes, as people and events have it. */
export const ETag = z
  .string()
  .min(1)
  .max(1024)
  .transform((etag) => (etag.startsWith('"') ? etag : `"${etag}"`));

export const Location = Target.extend({
  versionId: z.string().min(1).max(1024).optional(),
  etag: ETag.optional(),
  ...Terms,
});
export const Pin = Location.extend({ etag: ETag, size: z.int().nonnegative() });

/** S3's rules for tags, and for what headers may hold. */
const Tags = z
  .record(z.string().min(1).max(128), z.string().max(256))
  .refine((tags) => Object.keys(tags).length <= 10, 'more than 10 tags');
const Metadata = z.record(
  z.string().regex(/^[a-z0-9][a-z0-9_.-]{0,127}$/, 'not a name for metadata'),
  z.string().regex(/^[\x20-\x7e]*$/, 'not ASCII'),
);

/** What a caller may decide; all that is left out has its default. */
export const Options = z
  .strictObject({
    /** `true` for `always`, `false` for `never`. */
    overwrite: z
      .union([z.enum(OVERWRITES), z.boolean().transform((any) => (any ? 'always' : 'never'))])
      .default(DEFAULT_OPTIONS.overwrite),
    storageClass: z.enum(STORAGE_CLASSES).optional(),
    sse: z.enum(ENCRYPTIONS).optional(),
    kmsKeyId: z.string().min(1).max(2048).optional(),
    tags: Tags.optional(),
    metadata: Metadata.optional(),
    copyParts: z.boolean().default(DEFAULT_OPTIONS.copyParts),
    zeroParts: z.boolean().default(DEFAULT_OPTIONS.zeroParts),
    maxConcurrency: z.int().min(1).max(10_000).default(DEFAULT_OPTIONS.maxConcurrency),
  })
  .prefault({});

const S3Url = z
  .string()
  .max(2048)
  .regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\/.*$/s, 'expected s3://bucket/…');

/** Prefixes that names inside an image may lead under. */
const Allow = z.array(S3Url).max(100);
/** Of a file, as the image above it has it. */
const Name = z.string().max(1024);
const BackingFormat = z.enum(['raw', 'qcow', 'qcow2']);

/** What of S3 the names inside an image may lead to. Without it, to nothing. */
const References = z.strictObject({
  allow: Allow.default([]),
  places: z.record(Name, S3Url).default({}),
  backingFormats: z.record(Name, BackingFormat).default({}),
});

const Snapshot = z.string().min(1).max(1024);

/** Which disk of an image is meant. */
export const Selection = { snapshot: Snapshot.optional(), gate: References.optional() };

/** What a parameter says that may be given more than once: a list, also where it is given once. */
const listOf = (said: unknown): unknown[] => [said].flat();
const apart = (text: unknown) => (typeof text === 'string' ? text.split(',') : text);

const Place = z
  .string()
  .refine((text) => namedPlace(text) !== undefined, 'expected NAME=s3://…')
  .transform((text): unknown => namedPlace(text))
  .pipe(z.tuple([Name, S3Url]));
const StatedFormat = z
  .string()
  .transform((text): unknown => namedOrAll(text))
  .pipe(z.tuple([Name, BackingFormat]));

/** The same in a query, by the command line's words. */
export const GateQuery = {
  allow: z
    .preprocess((said) => listOf(said).flatMap(apart), Allow)
    .optional()
    .describe('Prefixes under which names inside the image may lead; also in one, with commas between.'),
  place: z
    .preprocess(listOf, z.array(Place).max(100))
    .optional()
    .describe('NAME=s3://bucket/key: where a name inside the image lies, whatever it looks like.'),
  backingFormat: z
    .preprocess(listOf, z.array(StatedFormat).max(100))
    .optional()
    .describe('[NAME=]FORMAT: raw, qcow or qcow2, of that backing file, or of all that do not state it.'),
};

/** What a query lets an image reach; nothing if it says nothing of that. */
export function gateOf({ allow = [], place = [], backingFormat = [] }: z.infer<z.ZodObject<typeof GateQuery>>) {
  if (allow.length + place.length + backingFormat.length === 0) return undefined;
  return { allow, places: Object.fromEntries(place), backingFormats: Object.fromEntries(backingFormat) };
}

/** Secrets with passphrases: by the name that the image above has for a file, under the empty name for all others. */
const Keys = z.record(z.string().max(1024), SecretArn);

/** What is to be converted, and how: the body of a request over HTTP. */
export const NewConversion = z.strictObject({
  source: Location,
  destination: Target,
  options: Options,
  ...Selection,
  keys: Keys.optional(),
});

/** Which disk is to be read as raw bytes, and for how long. */
export const NewView = z.strictObject({
  source: Location,
  seconds: z.int().min(1).max(43_200).default(3_600),
  ...Selection,
});

/** The state machine's input. */
export const Conversion = NewConversion.extend({
  /** Step Functions asks callers to put it into the input of an execution that another one starts. */
  AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID: z.string().optional(),
});

/** An execution's name, which names the job's records as well. */
export const JobName = z.string().regex(/^[\w.+=@-]{1,80}$/);
