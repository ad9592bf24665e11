import type { DiskKey } from '../chunk/crypto/disk-key.ts';
import { type Sealed, seal, unseal } from '../chunk/crypto/seal.ts';
import { UnqcowError } from '../errors.ts';
import { getText, putJson } from '../sink/s3-object.ts';
import type { S3Target } from '../sink/s3-target.ts';
import { idOf, type S3Pin } from '../source/s3.ts';
import type { Stores } from './stores.ts';
import { type KeyOf, saidOf, unlock } from './unlock.ts';

/** A secret's exact bytes, and which version of it they are. */
export interface Secret {
  readonly bytes: Uint8Array;
  readonly versionId: string;
}

/** @throws UnqcowError `KEY_DENIED`, `KEY_UNAVAILABLE`. */
export type ReadSecret = (arn: string, versionId?: string) => Promise<Secret>;

/**
 * Where a job's keys come from, and how they get to its workers: Plan reads passphrases, derives the disks' keys and
 * leaves them in the job's folder, sealed under a secret of the deployment. Nothing else of them ever leaves a process.
 */
export interface Vault {
  readonly readSecret: ReadSecret;
  /** The ARN of the deployment's own secret, of at least 32 random bytes. */
  readonly sealingSecret: string;
}

/** ARNs of the secrets that hold passphrases, by names as `Passphrases` has them. */
export type SecretNames = Readonly<Record<string, string>>;

/** Disks' keys by the id of the file they are for: exactly those bytes, no later version of them. */
export type JobKeys = Map<string, DiskKey>;

interface SealedKeys extends Sealed {
  /** The version of the sealing secret: it may be rotated while a job runs. */
  readonly secretVersion: string;
}

const MIN_SECRET = 32;

/** The vault, if there is one. @throws UnqcowError `KEYS_NOT_CONFIGURED`. */
function required(vault: Vault | undefined): Vault {
  if (vault) return vault;
  throw new UnqcowError('KEYS_NOT_CONFIGURED', 'this deployment has no sealing secret', { at: 'keys' });
}

/** Derives each key from the passphrase in a secret. A secret is read when first needed, and once. */
export class SecretKeys {
  /** What was derived so far. */
  readonly keys: JobKeys = new Map();
  readonly #vault: Vault | undefined;
  readonly #names: SecretNames;
  readonly #read = new Map<string, Promise<Secret>>();

  constructor(vault: Vault | undefined, names: SecretNames = {}) {
    this.#vault = vault;
    this.#names = names;
  }

  readonly keyOf: KeyOf = async (image, name, signal) => {
    const arn = saidOf(this.#names, name);
    const key = await unlock(image, arn === undefined ? undefined : (await this.#secret(arn)).bytes, signal);
    this.keys.set(image.source.id, key);
    return key;
  };

  #secret(arn: string): Promise<Secret> {
    const secret = this.#read.get(arn) ?? required(this.#vault).readSecret(arn);
    this.#read.set(arn, secret);
    return secret;
  }

  /** Overwrites passphrases and keys in memory, as far as we hold them. */
  async wipe(): Promise<void> {
    for (const secret of await Promise.allSettled(this.#read.values())) {
      if (secret.status === 'fulfilled') secret.value.bytes.fill(0);
    }
    wipe(this.keys);
  }
}

export function wipe(keys: JobKeys): void {
  for (const { bytes } of keys.values()) bytes.fill(0);
}

/** Leaves a job's keys at `at`, for the conversion of `source` only. Costs a PUT and one read of the sealing secret. */
export async function storeKeys(
  { writer }: Pick<Stores, 'writer'>,
  vault: Vault | undefined,
  { at, source, keys }: { readonly at: S3Target; readonly source: S3Pin; readonly keys: JobKeys },
): Promise<void> {
  const { bytes: secret, versionId } = await sealingSecret(required(vault));
  const entries = [...keys].map(([id, key]) => ({ ...key, id, bytes: Buffer.from(key.bytes).toString('base64') }));
  const clear = Buffer.from(JSON.stringify(entries));
  const sealed: SealedKeys = { ...seal(secret, purposeOf(at, source), clear), secretVersion: versionId };
  clear.fill(0);
  await putJson(writer, at, sealed);
}

/**
 * The keys that Plan left. Costs a GET and, once a process, a read of the sealing secret.
 *
 * @throws UnqcowError `RECEIPTS_MISMATCH` if they are gone; `KEY_SEAL_BROKEN` if they are not those that Plan left for this
 * very job; as `readSecret` does.
 */
export async function loadKeys(
  { writer }: Pick<Stores, 'writer'>,
  vault: Vault | undefined,
  { at, source }: { readonly at: S3Target; readonly source: S3Pin },
): Promise<JobKeys> {
  const text = await getText(writer, at);
  try {
    const { secretVersion, ...sealed } = JSON.parse(text) as SealedKeys;
    const { bytes: secret } = await sealingSecret(required(vault), secretVersion);
    const clear = unseal(secret, purposeOf(at, source), sealed);
    const entries = JSON.parse(Buffer.from(clear).toString()) as (Omit<DiskKey, 'bytes'> & Entry)[];
    clear.fill(0);
    return new Map(
      entries.map(({ id, ...key }) => [id, { ...key, bytes: new Uint8Array(Buffer.from(key.bytes, 'base64')) }]),
    );
  } catch (error) {
    if (error instanceof UnqcowError) throw error;
    // What node:crypto said is of no use to anyone but who tries keys.
    throw new UnqcowError('KEY_SEAL_BROKEN', `the keys in s3://${at.bucket}/${at.key} are not what was sealed there`);
  }
}

interface Entry {
  readonly id: string;
  readonly bytes: string;
}

/** Takes each image's key from those that Plan left. An image that Plan did not open has none. */
export function byJobKeys(keys: JobKeys): KeyOf {
  return async ({ source }) => keyFor(keys, source.id);
}

/** @throws UnqcowError `SOURCE_CHANGED` if the file is not one that Plan saw. */
export function keyFor(keys: JobKeys, id: string): DiskKey {
  const key = keys.get(id);
  if (key) return key;
  throw new UnqcowError('SOURCE_CHANGED', `${id.replace(/#.*$/, '')} is not the image that its key was derived for`);
}

const purposeOf = ({ bucket, key }: S3Target, source: S3Pin) => JSON.stringify(['keys', bucket, key, idOf(source)]);

async function sealingSecret({ readSecret, sealingSecret: arn }: Vault, versionId?: string): Promise<Secret> {
  const secret = await readSecret(arn, versionId);
  if (secret.bytes.length >= MIN_SECRET) return secret;
  throw new UnqcowError('KEYS_NOT_CONFIGURED', `the sealing secret is shorter than ${MIN_SECRET} bytes`);
}
