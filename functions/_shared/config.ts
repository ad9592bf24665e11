import * as z from 'zod';
import type { WorkPlace } from '../../lib/jobs/conversion.ts';
import { overlap, type SecretRules, TENANT } from './allowed.ts';

const SECRET_ARN = /^arn:aws[\w-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+$/;
export const SecretArn = z.string().max(2048).regex(SECRET_ARN, 'not the ARN of a secret');

/** `s3://bucket/folder/` → bucket and prefix. A folder without its slash gets one: `vms` must not allow `vms-secret`. */
const S3Prefix = z
  .string()
  .regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/.*)?$/, 'expected s3://bucket/prefix/')
  .refine((text) => !text.replaceAll(/\/\{tenant\}(?=\/|$)/g, '').includes(TENANT), '{tenant} must be a whole segment')
  .transform((text): WorkPlace => {
    const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(text) ?? [];
    return { bucket, prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/` };
  });

const list = (text: string) =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean);

const S3Prefixes = z.string().transform(list).pipe(z.array(S3Prefix));

/** The beginning of a secret's ARN, at least up to the name. What follows is free; a tenant is a whole segment of it. */
const SecretPrefix = z
  .string()
  .refine(
    (text) => SECRET_ARN.test(text.replaceAll(TENANT, 't')),
    'expected arn:aws:secretsmanager:region:account:secret:name/',
  )
  .refine(
    (text) => !text.replaceAll(/(?<=[:/])\{tenant\}(?=\/)/g, '').includes(TENANT),
    '{tenant} has to be a whole segment, with a slash after it',
  );
const SecretPrefixes = z.string().transform(list).pipe(z.array(SecretPrefix));

/** A function's environment. What may be read and written is configuration. */
const Environment = z.object({
  UNQCOW_SOURCES: S3Prefixes,
  UNQCOW_DESTINATIONS: S3Prefixes,
  /** Where jobs keep their records. */
  UNQCOW_WORK: S3Prefix,
  /** Where an upload's raw disk goes. */
  UNQCOW_UPLOAD_DESTINATION: S3Prefix.optional(),
  /** Which uploads are converted. */
  UNQCOW_UPLOAD_SUFFIXES: z.string().default('.qcow2,.qcow').transform(list),
  /** Bytes of raw disk. */
  UNQCOW_OUTPUT_LIMIT: z.coerce.number().int().positive().optional(),
  UNQCOW_STATE_MACHINE_ARN: z.string().optional(),
  /** The claim of a caller's token that is put for `{tenant}`. */
  UNQCOW_TENANT_CLAIM: z.string().min(1).optional(),
  /** Whose pages may ask; `*` for all. */
  UNQCOW_CORS_ORIGINS: z.string().default('').transform(list),
  /** Which secrets a conversion's input may name. */
  UNQCOW_SECRETS: z.string().default('').pipe(SecretPrefixes),
  /** The secret that jobs' keys are sealed under. */
  UNQCOW_SEALING_SECRET: SecretArn.optional(),
  /** Where raw views are served: the URL of the function that does. */
  UNQCOW_VIEW_URL: z.url({ protocol: /^https?$/ }).optional(),
});

export interface Config extends SecretRules {
  readonly sources: readonly WorkPlace[];
  readonly destinations: readonly WorkPlace[];
  readonly work: WorkPlace;
  readonly uploadDestination: WorkPlace | undefined;
  readonly uploadSuffixes: readonly string[];
  readonly outputLimit: number | undefined;
  readonly stateMachineArn: string | undefined;
  readonly tenantClaim: string | undefined;
  readonly corsOrigins: readonly string[];
  readonly viewUrl?: string | undefined;
}

/**
 * @throws ZodError if the environment is incomplete, Error if it contradicts itself: a function that is set up wrongly
 * does not start.
 */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const env = Environment.parse(environment);
  return checkedConfig({
    sources: env.UNQCOW_SOURCES,
    destinations: env.UNQCOW_DESTINATIONS,
    work: env.UNQCOW_WORK,
    uploadDestination: env.UNQCOW_UPLOAD_DESTINATION,
    uploadSuffixes: env.UNQCOW_UPLOAD_SUFFIXES,
    outputLimit: env.UNQCOW_OUTPUT_LIMIT,
    stateMachineArn: env.UNQCOW_STATE_MACHINE_ARN,
    tenantClaim: env.UNQCOW_TENANT_CLAIM,
    corsOrigins: env.UNQCOW_CORS_ORIGINS,
    secrets: env.UNQCOW_SECRETS,
    sealingSecret: env.UNQCOW_SEALING_SECRET,
    viewUrl: env.UNQCOW_VIEW_URL,
  });
}

/**
 * @throws Error if callers could write into jobs' records, if what is written could trigger the next conversion, or if
 * tenants could not be told apart.
 */
export function checkedConfig(config: Config): Config {
  const { sources, destinations, work, uploadDestination, tenantClaim } = config;
  const refuse = (why: string) => {
    throw new Error(`the configuration is refused: ${why}`);
  };
  const urlOf = ({ bucket, prefix }: WorkPlace) => `s3://${bucket}/${prefix}`;
  for (const place of [...sources, ...destinations]) {
    if (overlap(place, work)) refuse(`jobs keep their records under ${urlOf(work)}, within ${urlOf(place)}`);
    if (tenantClaim === undefined && place.prefix.includes(TENANT)) refuse(`no claim is put for ${TENANT}`);
  }
  const shared = destinations.find(({ prefix }) => !prefix.includes(TENANT));
  if (tenantClaim !== undefined && shared) refuse(`all tenants could write to ${urlOf(shared)}`);
  const common = config.secrets.find((start) => !start.includes(TENANT));
  if (tenantClaim !== undefined && common) refuse(`all tenants could use the secrets under ${common}`);
  if (uploadDestination === undefined) return config;
  for (const to of destinations) {
    const from = sources.find((source) => overlap(source, to));
    if (from) refuse(`what is written to ${urlOf(to)} could trigger a conversion, as an upload to ${urlOf(from)}`);
  }
  const { bucket, prefix } = uploadDestination;
  const isDestination = destinations.some((to) => overlap(to, uploadDestination));
  if (!isDestination || prefix.includes(TENANT)) refuse(`uploads cannot be converted to s3://${bucket}/${prefix}`);
  return config;
}
