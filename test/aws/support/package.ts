import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Template } from './template.ts';

const KEY = 'arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555';

/** What the service is packaged with, once before all tests: packaging twice at the same time, one run spoils the other. */
export const VARIANTS = {
  plain: {},
  changed: {
    imagesBucket: 'my-images',
    imagesPrefix: 'vms/',
    rawBucket: 'my-disks',
    rawPrefix: 'raw/',
    workBucket: 'my-records',
    trigger: 'eventbridge',
    apiAuth: 'jwt',
    jwtIssuer: 'https://issuer.example.com/',
    jwtAudience: 'disks',
    corsOrigins: 'https://console.example.com',
    kmsKeyArn: KEY,
    alarmTopicArn: 'arn:aws:sns:us-east-1:123456789012:alarms',
    workerConcurrency: '100',
    uploadConcurrency: '5',
    viewConcurrency: '20',
    secrets: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:disks/',
    logRetention: '90',
  },
  confined: {
    imagesPrefix: 'vms/{tenant}/',
    rawPrefix: 'disks/{tenant}/',
    apiAuth: 'jwt',
    tenantClaim: 'org',
    trigger: 'none',
    kmsKeyArn: KEY,
    secrets: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:disks/{tenant}/',
  },
} as const;

/** Where a variant is packaged to. */
export const folderOf = (variant: keyof typeof VARIANTS): string => join('.unqcow', 'package', variant);

/**
 * Packages the service as `npx serverless package` does: no network, no account, and no credentials that could be found.
 *
 * @param parameters As `--param="name=value"`.
 * @throws Error with what the framework said, if it refuses.
 */
export function packageService(folder: string, parameters: Readonly<Record<string, string>> = {}): void {
  const given = Object.entries(parameters).map(([name, value]) => `--param=${name}=${value}`);
  const { PATH, HOME } = process.env;
  // What a bundler that was stopped has left would be packed with the rest.
  rmSync('.esbuild', { recursive: true, force: true });
  try {
    execFileSync('serverless', ['package', '--package', folder, '--stage', 'test', ...given], {
      env: { PATH, HOME, AWS_EC2_METADATA_DISABLED: 'true', SLS_TELEMETRY_DISABLED: '1', NO_COLOR: '1' },
      stdio: 'pipe',
    });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: Buffer; stderr: Buffer };
    throw new Error(`${stdout}${stderr}`);
  }
}

export function readTemplate(variant: keyof typeof VARIANTS): Template {
  return JSON.parse(readFileSync(join(folderOf(variant), 'cloudformation-template-update-stack.json'), 'utf8'));
}
