import { UnqcowError } from '../../lib/errors.ts';
import type { WorkPlace } from '../../lib/jobs/conversion.ts';
import type { Gate } from '../../lib/jobs/gate.ts';

interface Target {
  readonly bucket: string;
  readonly key: string;
}

/** Stands in a prefix for the tenant of whoever asks: one whole segment of a key. */
export const TENANT = '{tenant}';
const TENANT_NAME = '[A-Za-z0-9][\\w.@-]{0,63}';

/** Nothing that could lead out of the prefix that it is put into. */
export const isTenantName = (text: unknown): text is string =>
  typeof text === 'string' && new RegExp(`^${TENANT_NAME}$`).test(text);

export const forTenant = (places: readonly WorkPlace[], tenant: string): WorkPlace[] =>
  places.map(({ bucket, prefix }) => ({ bucket, prefix: prefix.replaceAll(TENANT, () => tenant) }));

/** What matches a beginning; where that says `{tenant}`, any tenant's. */
const patternOf = (start: string) => start.split(TENANT).map(RegExp.escape).join(TENANT_NAME);

const startOf = ({ prefix }: WorkPlace) => patternOf(prefix);

/** Whether a prefix of keys lies under one of the places. */
export const isPrefixAllowed = (places: readonly WorkPlace[], { bucket, key }: Target): boolean =>
  places.some((place) => place.bucket === bucket && new RegExp(`^${startOf(place)}`).test(key));

/** Whether an object lies under one of the places; the place's own name is none. */
export const isAllowed = (places: readonly WorkPlace[], { bucket, key }: Target): boolean =>
  places.some((place) => place.bucket === bucket && new RegExp(`^${startOf(place)}.`, 's').test(key));

/** @throws UnqcowError `NOT_ALLOWED`, before any request is made, unless the object lies under one of the prefixes. */
export function assertAllowed(allowed: readonly WorkPlace[], target: Target): void {
  if (isAllowed(allowed, target)) return;
  throw new UnqcowError('NOT_ALLOWED', `s3://${target.bucket}/${target.key} is not under an allowed prefix`);
}

/**
 * What a caller lets an image reach must lie within what the caller may read itself.
 *
 * @throws UnqcowError `NOT_ALLOWED`.
 */
export function assertGateAllowed(allowed: readonly WorkPlace[], gate: Gate | undefined): void {
  for (const url of [...(gate?.allow ?? []), ...Object.values(gate?.places ?? {})]) {
    const [, bucket = '', key = ''] = /^s3:\/\/([^/]+)\/(.*)$/s.exec(url) ?? [];
    if (isPrefixAllowed(allowed, { bucket, key })) continue;
    throw new UnqcowError('NOT_ALLOWED', `${url} is not under an allowed prefix`);
  }
}

/** What may be read of secrets, and whether keys are taken at all. */
export interface SecretRules {
  /** Beginnings of ARNs. */
  readonly secrets: readonly string[];
  readonly sealingSecret: string | undefined;
}

/**
 * Before any secret is read.
 *
 * @throws UnqcowError `KEYS_NOT_CONFIGURED`; `NOT_ALLOWED` unless all secrets are under the allowed beginnings.
 */
export function assertSecretsAllowed(
  { secrets, sealingSecret }: SecretRules,
  keys: Readonly<Record<string, string>> = {},
): void {
  const arns = Object.values(keys);
  if (arns.length === 0) return;
  if (secrets.length === 0 || sealingSecret === undefined) {
    throw new UnqcowError('KEYS_NOT_CONFIGURED', 'no secrets may be named here', { at: 'keys' });
  }
  const isUnder = (arn: string) => secrets.some((start) => new RegExp(`^${patternOf(start)}.`).test(arn));
  for (const arn of arns) {
    if (arn !== sealingSecret && isUnder(arn)) continue;
    throw new UnqcowError('NOT_ALLOWED', `${arn} is not under an allowed prefix`, { at: 'keys' });
  }
}

/** Whether anything could lie under both. `{tenant}` may be any tenant. */
export function overlap(a: WorkPlace, b: WorkPlace): boolean {
  if (a.bucket !== b.bucket) return false;
  const [one, other] = [a, b].map(({ prefix }) => prefix.split('/').slice(0, -1)) as [string[], string[]];
  const shared = Math.min(one.length, other.length);
  return one.slice(0, shared).every((segment, i) => {
    const theirs = other[i] as string;
    return segment === theirs || segment === TENANT || theirs === TENANT;
  });
}
