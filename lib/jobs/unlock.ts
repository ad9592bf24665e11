import type { DiskKey } from '../chunk/crypto/disk-key.ts';
import { aesKey, unlockLuks } from '../chunk/crypto/unlock.ts';
import { UnqcowError } from '../errors.ts';
import { readLuks } from '../format/luks-header.ts';
import { type AnyImage, isQcow1 } from '../format/open-any.ts';

/**
 * Gives the key of an encrypted image of a chain. `name` is what the image above calls it; empty for the first.
 *
 * @throws UnqcowError `KEY_REQUIRED`, `WRONG_KEY`, and others as each way to keys does.
 */
export type KeyOf = (image: AnyImage, name: string, signal?: AbortSignal) => Promise<DiskKey>;

/** Passphrases by the name that the image above has for a file; under the empty name, for all that have none of their own. */
export type Passphrases = Readonly<Record<string, Uint8Array>>;

/** What is said of one file of a chain, by its name, else of all. */
export function saidOf<T>(said: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(said, name) ? said[name] : said[''];
}

/** Derives each key from a passphrase. */
export function byPassphrase(passphrases: Passphrases): KeyOf {
  return async (image, name, signal) => unlock(image, saidOf(passphrases, name), signal);
}

/** Asks for the key of each file once, for disks that share their files, and overwrites them at the end. */
export class AskedOnce {
  readonly #known = new Map<string, Promise<DiskKey>>();
  readonly #ask: KeyOf;

  constructor(ask: KeyOf) {
    this.#ask = ask;
  }

  readonly keyOf: KeyOf = (image, name, signal) => {
    const key = this.#known.get(image.source.id) ?? this.#ask(image, name, signal);
    this.#known.set(image.source.id, key);
    return key;
  };

  async wipe(): Promise<void> {
    for (const key of await Promise.allSettled(this.#known.values())) {
      if (key.status === 'fulfilled') key.value.bytes.fill(0);
    }
  }
}

/**
 * The key of an encrypted image, derived: once a job, however many parts are made.
 *
 * @throws UnqcowError `KEY_REQUIRED`, `WRONG_KEY`, `KEY_TOO_COSTLY`, `BAD_LUKS_HEADER`, `UNSUPPORTED_ENCRYPTION`.
 */
export async function unlock(
  image: AnyImage,
  passphrase: Uint8Array | undefined,
  signal?: AbortSignal,
): Promise<DiskKey> {
  if (!passphrase) throw new UnqcowError('KEY_REQUIRED', 'the image is encrypted', { at: 'header.crypt_method' });
  if (isQcow1(image) || image.header.cryptMethod === 1) return aesKey(passphrase);
  const { header, offset } = await readLuks(image, signal);
  return unlockLuks(image.source, header, offset, passphrase, { signal });
}
