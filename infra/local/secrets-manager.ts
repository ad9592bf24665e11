import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { listen } from './aws-json.ts';
import { ServiceError } from './step-functions/service-error.ts';

export interface SecretsManagerOptions {
  /** A folder with a file for each secret, by its name, which may have slashes. Read anew at each request. */
  readonly dir: string;
  /** 0, the default, takes any port that is free. */
  readonly port?: number;
  /** Names of secrets that exist but may not be read. */
  readonly denied?: readonly string[];
}

export interface LocalSecretsManager {
  /** Speaks AWS JSON 1.1: GetSecretValue. */
  readonly endpoint: string;
  /** How often each secret was asked for, by name; also those that do not exist. */
  readonly reads: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

const ACCOUNT = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:';

/** A secret's ARN ends in six characters that AWS draws at random: here they follow from the name. */
export function secretArn(name: string): string {
  return `${ACCOUNT}${name}-${createHash('sha256').update(name).digest('hex').slice(0, 6)}`;
}

interface Version {
  readonly bytes: Buffer;
  readonly createdAt: number;
}

/**
 * The part of Secrets Manager that reads: GetSecretValue, of secrets that lie in a folder. What is text comes as
 * SecretString, all else as SecretBinary. A file that changes is a new version; older ones can be asked for by their ids.
 *
 * @see https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
 */
export async function startSecretsManager(options: SecretsManagerOptions): Promise<LocalSecretsManager> {
  const { dir, port = 0, denied = [] } = options;
  const reads = new Map<string, number>();
  const versions = new Map<string, Version>();
  const GetSecretValue = async ({ SecretId: id, VersionId: wanted }: Readonly<Record<string, unknown>>) => {
    const name = nameOf(id);
    reads.set(name, (reads.get(name) ?? 0) + 1);
    if (denied.includes(name)) throw accessDenied(name);
    const bytes = await readFile(join(dir, name)).catch(() => undefined);
    if (bytes === undefined) throw notFound('secret');
    const current = versionIdOf(bytes);
    if (!versions.has(`${name} ${current}`)) versions.set(`${name} ${current}`, { bytes, createdAt: Date.now() });
    const versionId = wanted === undefined || wanted === null ? current : String(wanted);
    const version = versions.get(`${name} ${versionId}`);
    if (version === undefined) throw notFound(`secret value for VersionId: ${versionId}`);
    return {
      ARN: secretArn(name),
      Name: name,
      CreatedDate: version.createdAt / 1000,
      VersionId: versionId,
      VersionStages: versionId === current ? ['AWSCURRENT'] : [],
      ...contentOf(version.bytes),
    };
  };
  const server = await listen({ target: 'secretsmanager', version: '1.1', errors: '' }, { GetSecretValue }, port);
  return { endpoint: server.endpoint, reads, close: server.close };
}

/** Makes a secret of random text, as GetRandomPassword would, unless it is there. */
export async function ensureSecret(dir: string, name: string): Promise<void> {
  const path = join(dir, name);
  await mkdir(dirname(path), { recursive: true });
  const text = randomBytes(48).toString('base64');
  await writeFile(path, text, { flag: 'wx', mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** An ARN, whole or without its last six characters, or a name. */
function nameOf(id: unknown): string {
  if (typeof id !== 'string' || id === '') {
    throw new ServiceError('InvalidParameterException', 'You must provide a value for the SecretId parameter.');
  }
  const isArn = id.startsWith('arn:');
  const name = id.split(':').slice(6).join(':');
  const known = name.slice(0, -7);
  const found = isArn ? (id === secretArn(known) ? known : name) : id;
  const isPlain = /^[\w/+=.@-]+$/.test(found) && normalize(`/${found}`) === `/${found}`;
  if (!isPlain || (isArn && !id.startsWith(ACCOUNT))) throw notFound('secret');
  return found;
}

function contentOf(bytes: Buffer): { SecretString: string } | { SecretBinary: string } {
  try {
    return { SecretString: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { SecretBinary: bytes.toString('base64') };
  }
}

/** In the form of a UUID, as AWS has it. */
function versionIdOf(bytes: Buffer): string {
  return createHash('sha256')
    .update(bytes)
    .digest('hex')
    .slice(0, 32)
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function notFound(what: string): ServiceError {
  return new ServiceError('ResourceNotFoundException', `Secrets Manager can't find the specified ${what}.`);
}

function accessDenied(name: string): ServiceError {
  const action = 'secretsmanager:GetSecretValue';
  return new ServiceError(
    'AccessDeniedException',
    `User: local is not authorized to perform: ${action} on resource: ${secretArn(name)} because no identity-based policy allows the ${action} action`,
  );
}
