import {
  GetSecretValueCommand,
  SecretsManagerClient,
  type SecretsManagerClientConfig,
} from '@aws-sdk/client-secrets-manager';
import type { Context } from 'aws-lambda';
import { UnqcowError } from '../../lib/errors.ts';
import { statusOf } from '../../lib/http-status.ts';
import type { ReadSecret, Secret, Vault } from '../../lib/jobs/vault.ts';
import { PROMPT } from '../../lib/patience.ts';
import type { Config } from './config.ts';
import { type Deps, onLambda } from './deps.ts';

/**
 * Reads secrets where their ARNs say that they are. SecretBinary as it is, SecretString as UTF-8: a newline at the end
 * counts. The SDK's own retry is the one layer there is.
 */
export function openSecrets(config: SecretsManagerClientConfig = {}): ReadSecret {
  const clients = new Map<string, SecretsManagerClient>();
  const clientFor = (region: string) => {
    const client = clients.get(region) ?? new SecretsManagerClient({ maxAttempts: 5, ...PROMPT, ...config, region });
    clients.set(region, client);
    return client;
  };
  return async (arn, versionId) => {
    const command = new GetSecretValueCommand({ SecretId: arn, ...(versionId ? { VersionId: versionId } : {}) });
    const answer = await clientFor(arn.split(':')[3] ?? '')
      .send(command)
      .catch((error) => {
        throw asKeyError(arn, error);
      });
    const { SecretBinary: binary, SecretString: text = '', VersionId: version = '' } = answer;
    return { bytes: binary ?? new TextEncoder().encode(text), versionId: version };
  };
}

/** The deployment's vault. Versions of the sealing secret never change, so each is read once a process. */
export function openVault(sealingSecret: string, readSecret: ReadSecret): Vault {
  const versions = new Map<string, Promise<Secret>>();
  return {
    sealingSecret,
    readSecret(arn, versionId) {
      if (arn !== sealingSecret || versionId === undefined) return readSecret(arn, versionId);
      const known = versions.get(versionId) ?? readSecret(arn, versionId);
      versions.set(versionId, known);
      known.catch(() => versions.delete(versionId));
      return known;
    },
  };
}

const MAY_PASS = ['InternalServiceError', 'ThrottlingException', 'LimitExceededException'];

/** What Secrets Manager said, as one of our codes. That a secret is missing and that it is not ours to read look the same. */
function asKeyError(arn: string, error: unknown): UnqcowError {
  const { name } = error as Error;
  const status = statusOf(error);
  if (status === undefined || status >= 500 || status === 429 || MAY_PASS.includes(name)) {
    return new UnqcowError('KEY_UNAVAILABLE', `${arn} cannot be read now (${name})`, { at: 'keys' });
  }
  return new UnqcowError('KEY_DENIED', `${arn} cannot be read`, { at: 'keys' });
}

/** The vault of a configuration, if it has one. */
export const vaultFor = (
  { sealingSecret }: Pick<Config, 'sealingSecret'>,
  client: SecretsManagerClientConfig = {},
): Vault | undefined => (sealingSecret === undefined ? undefined : openVault(sealingSecret, openSecrets(client)));

/** As `onLambda`, for functions that need keys: the others are smaller without the client for secrets. */
export const onLambdaWithKeys = <E, R>(create: (deps: Deps) => (event: E, context: Context) => Promise<R>) =>
  onLambda((deps) => create({ ...deps, vault: vaultFor(deps.config) }));
