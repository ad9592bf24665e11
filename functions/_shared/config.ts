import * as z from 'zod';
import { UnqcowError } from '../../lib/errors.ts';
import type { WorkPlace } from '../../lib/jobs/conversion.ts';
import type { Gate } from '../../lib/jobs/gate.ts';

/** `s3://bucket/folder/` → bucket and prefix. A folder without its slash gets one: `vms` must not allow `vms-secret`. */
const S3Prefix = z
  .string()
  .regex(/^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/.*)?$/, 'expected s3://bucket/prefix/')
  .transform((text): WorkPlace => {
    const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]+)\/?(.*)$/s.exec(text) ?? [];
    return { bucket, prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/` };
  });

const S3Prefixes = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((each) => each.trim())
      .filter(Boolean),
  )
  .pipe(z.array(S3Prefix));

/** A function's environment. What may be read and written is configuration. */
const Environment = z.object({
  UNQCOW_SOURCES: S3Prefixes,
  UNQCOW_DESTINATIONS: S3Prefixes,
  /** Where jobs keep their records. */
  UNQCOW_WORK: S3Prefix,
  /** Where an upload's raw disk goes. */
  UNQCOW_UPLOAD_DESTINATION: S3Prefix.optional(),
  /** Which uploads are converted. */
  UNQCOW_UPLOAD_SUFFIXES: z
    .string()
    .default('.qcow2,.qcow')
    .transform((text) => text.split(',').filter(Boolean)),
  /** Bytes of raw disk. */
  UNQCOW_OUTPUT_LIMIT: z.coerce.number().int().positive().optional(),
  UNQCOW_STATE_MACHINE_ARN: z.string().optional(),
});

export interface Config {
  readonly sources: readonly WorkPlace[];
  readonly destinations: readonly WorkPlace[];
  readonly work: WorkPlace;
  readonly uploadDestination: WorkPlace | undefined;
  readonly uploadSuffixes: readonly string[];
  readonly outputLimit: number | undefined;
  readonly stateMachineArn: string | undefined;
}

/** @throws ZodError if the environment is incomplete: a function that is set up wrongly does not start. */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const env = Environment.parse(environment);
  return {
    sources: env.UNQCOW_SOURCES,
    destinations: env.UNQCOW_DESTINATIONS,
    work: env.UNQCOW_WORK,
    uploadDestination: env.UNQCOW_UPLOAD_DESTINATION,
    uploadSuffixes: env.UNQCOW_UPLOAD_SUFFIXES,
    outputLimit: env.UNQCOW_OUTPUT_LIMIT,
    stateMachineArn: env.UNQCOW_STATE_MACHINE_ARN,
  };
}

/** @throws UnqcowError `NOT_ALLOWED`, before any request is made, unless the object lies under one of the prefixes. */
export function assertAllowed(
  allowed: readonly WorkPlace[],
  { bucket, key }: { readonly bucket: string; readonly key: string },
): void {
  if (allowed.some((place) => place.bucket === bucket && key.startsWith(place.prefix) && key !== place.prefix)) return;
  throw new UnqcowError('NOT_ALLOWED', `s3://${bucket}/${key} is not under an allowed prefix`);
}

/**
 * What a caller lets an image reach must lie within what the caller may read itself.
 *
 * @throws UnqcowError `NOT_ALLOWED`.
 */
export function assertGateAllowed(allowed: readonly WorkPlace[], gate: Gate | undefined): void {
  for (const url of [...(gate?.allow ?? []), ...Object.values(gate?.places ?? {})]) {
    const [, bucket, key = ''] = /^s3:\/\/([^/]+)\/(.*)$/s.exec(url) ?? [];
    if (allowed.some((place) => place.bucket === bucket && key.startsWith(place.prefix))) continue;
    throw new UnqcowError('NOT_ALLOWED', `${url} is not under an allowed prefix`);
  }
}
