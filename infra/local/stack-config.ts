import type { Config } from '../../functions/_shared/config.ts';
import { secretArn } from './secrets-manager.ts';
import type { Buckets } from './stack-options.ts';

export const REGION = 'us-east-1';
export const STATE_MACHINE = `arn:aws:states:${REGION}:000000000000:stateMachine:unqcow`;

/** The ARN of the function of this name. */
export const arnOf = (name: string): string => `arn:aws:lambda:${REGION}:000000000000:function:${name}`;

/** For a server that only this machine can reach. */
export const LOCAL_CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local-secret' };

/** The secret that jobs' keys are sealed under, and what precedes the names of those that may hold passphrases. */
export const SEALING_SECRET = 'unqcow/sealing';
const PASSPHRASES = secretArn('disks/').replace(/-\w+$/, '');

/** The configuration that fits these buckets. */
export function configOf({ images, raw, work }: Buckets, takesKeys: boolean): Config {
  return {
    sources: [{ bucket: images, prefix: '' }],
    destinations: [{ bucket: raw, prefix: '' }],
    work: { bucket: work, prefix: '' },
    uploadDestination: { bucket: raw, prefix: '' },
    uploadSuffixes: ['.qcow2', '.qcow'],
    outputLimit: undefined,
    stateMachineArn: STATE_MACHINE,
    tenantClaim: undefined,
    corsOrigins: [],
    secrets: takesKeys ? [PASSPHRASES] : [],
    sealingSecret: takesKeys ? secretArn(SEALING_SECRET) : undefined,
  };
}
