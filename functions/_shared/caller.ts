import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { UnqcowError } from '../../lib/errors.ts';
import type { WorkPlace } from '../../lib/jobs/conversion.ts';
import type { Gate } from '../../lib/jobs/gate.ts';
import {
  assertGateAllowed,
  assertSecretsAllowed,
  forTenant,
  isAllowed,
  isPrefixAllowed,
  isTenantName,
  type SecretRules,
  TENANT,
} from './allowed.ts';
import type { Config } from './config.ts';

interface Target {
  readonly bucket: string;
  readonly key: string;
}

/**
 * Whoever asks over HTTP, and what they may reach. What is not allowed is answered as what is not there, in the same words
 * and before any request is made: nobody learns which buckets exist.
 */
export class Caller {
  readonly tenant: string | undefined;
  readonly #sources: readonly WorkPlace[];
  readonly #destinations: readonly WorkPlace[];
  readonly #secrets: SecretRules;

  /** @throws UnqcowError `TENANT_REQUIRED` if there are tenants, and the token's claim names none. */
  constructor({ sources, destinations, tenantClaim, secrets, sealingSecret }: Config, event: APIGatewayProxyEventV2) {
    this.tenant = tenantClaim === undefined ? undefined : tenantOf(event, tenantClaim);
    const own = (places: readonly WorkPlace[]) => (this.tenant === undefined ? places : forTenant(places, this.tenant));
    this.#sources = own(sources);
    this.#destinations = own(destinations);
    const ownSecrets = secrets.map((start) => start.replaceAll(TENANT, () => this.tenant ?? TENANT));
    this.#secrets = { secrets: ownSecrets, sealingSecret };
  }

  /** @throws UnqcowError `SOURCE_NOT_FOUND` */
  assertSource(source: Target): void {
    if (!isAllowed(this.#sources, source)) throw notFound(source);
  }

  /** @throws UnqcowError `SOURCE_NOT_FOUND` */
  assertPrefix({ bucket, prefix }: WorkPlace): void {
    if (!isPrefixAllowed(this.#sources, { bucket, key: prefix })) throw notFound({ bucket, key: prefix });
  }

  /** @throws UnqcowError `DESTINATION_NOT_FOUND` */
  assertDestination(target: Target): void {
    if (isAllowed(this.#destinations, target)) return;
    throw new UnqcowError('DESTINATION_NOT_FOUND', `there is no s3://${target.bucket}/ to write ${target.key} to`);
  }

  /** @throws UnqcowError `NOT_ALLOWED` */
  assertGate(gate: Gate | undefined): void {
    assertGateAllowed(this.#sources, gate);
  }

  /** @throws UnqcowError `NOT_ALLOWED`, `KEYS_NOT_CONFIGURED` */
  assertKeys(keys: Readonly<Record<string, string>> | undefined): void {
    assertSecretsAllowed(this.#secrets, keys);
  }

  /** Where this caller may read, and where write. */
  get places() {
    return { sources: this.#sources, destinations: this.#destinations };
  }

  mayReach(source: Target, destination: Target): boolean {
    return isAllowed(this.#sources, source) && isAllowed(this.#destinations, destination);
  }
}

const notFound = ({ bucket, key }: Target) => new UnqcowError('SOURCE_NOT_FOUND', `there is no s3://${bucket}/${key}`);

function tenantOf(event: APIGatewayProxyEventV2, claim: string): string {
  const { authorizer } = event.requestContext as {
    readonly authorizer?: { readonly jwt?: { readonly claims?: Readonly<Record<string, unknown>> } };
  };
  const tenant = authorizer?.jwt?.claims?.[claim];
  if (isTenantName(tenant)) return tenant;
  throw new UnqcowError('TENANT_REQUIRED', `the token’s claim ${claim} does not name a tenant`);
}
