import { secretArn } from '../../../infra/local/secrets-manager.ts';
import type { Services } from '../../../infra/local/stack.ts';
import { SEALING_SECRET } from '../../../infra/local/stack-config.ts';
import { Lambda } from './lambda.ts';
import { readTemplate } from './package.ts';
import { type Configuration, configurations } from './sandbox.ts';
import { bucketsOf, deployed } from './template.ts';

/** The functions of a packaged variant, by the names in `functions/`: exactly as its template configures them. */
export const functionsOf = (variant: Parameters<typeof readTemplate>[0]): ReadonlyMap<string, Configuration> =>
  configurations(deployed(readTemplate(variant)));

/** The buckets that the packaged functions are configured for. */
export const BUCKETS = bucketsOf(readTemplate('plain'));

export const FUNCTIONS = functionsOf('plain');

/** The state machine that they start, and follow. */
export const STATE_MACHINE = String(FUNCTIONS.get('on-upload')?.environment.UNQCOW_STATE_MACHINE_ARN);

/** What the template says of an account's own things, said of those that are here. */
const here = ({ secretsManager, viewUrl }: Services): Record<string, string> => ({
  ...(secretsManager ? { UNQCOW_SEALING_SECRET: secretArn(SEALING_SECRET), UNQCOW_SECRETS: PASSPHRASES } : {}),
  ...(viewUrl ? { UNQCOW_VIEW_URL: viewUrl } : {}),
});
const PASSPHRASES = secretArn('disks/').replace(/-\w+$/, '');

/** A packaged function in Lambda's runtime, among these services instead of AWS's. Close it. */
export function lambdaOf(name: string, services: Services, functions = FUNCTIONS): Lambda {
  const configuration = functions.get(name);
  if (!configuration) throw new Error(`the template has no function ${name}`);
  const { environment } = configuration;
  const { store, stepFunctions, secretsManager } = services;
  const found = Object.entries(here(services)).filter(([variable]) => Object.hasOwn(environment, variable));
  const endpoints = {
    AWS_ACCESS_KEY_ID: store.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.credentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: store.endpoint,
    ...(secretsManager ? { AWS_ENDPOINT_URL_SECRETS_MANAGER: secretsManager } : {}),
    ...(stepFunctions ? { AWS_ENDPOINT_URL_SFN: stepFunctions } : {}),
  };
  return new Lambda({ ...configuration, environment: { ...environment, ...Object.fromEntries(found), ...endpoints } });
}
