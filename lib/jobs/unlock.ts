import type { DiskKey } from '../chunk/crypto/disk-key.ts';
import { aesKey, unlockLuks } from '../chunk/crypto/unlock.ts';
import { UnqcowError } from '../errors.ts';
import { readLuks } from '../format/luks-header.ts';
import { type AnyImage, isQcow1 } from '../format/open-any.ts';

/** Passphrases by the name that the image above has for a file; under the empty name, for all that have none of their own. */
export type Passphrases = Readonly<Record<string, Uint8Array>>;

export function passphraseFor(passphrases: Passphrases, name: string): Uint8Array | undefined {
  return Object.hasOwn(passphrases, name) ? passphrases[name] : passphrases[''];
}

/**
 * The key of an encrypted image; nothing for one that is not. Derived once, however many parts are made.
 *
 * @throws UnqcowError `KEY_REQUIRED`, `WRONG_KEY`, `KEY_TOO_COSTLY`, `BAD_LUKS_HEADER`, `UNSUPPORTED_ENCRYPTION`.
 */
export async function unlock(
  image: AnyImage,
  passphrase: Uint8Array | undefined,
  signal?: AbortSignal,
): Promise<DiskKey | undefined> {
  if (!image.geometry.encrypted) return undefined;
  if (!passphrase) throw new UnqcowError('KEY_REQUIRED', 'the image is encrypted', { at: 'header.crypt_method' });
  if (isQcow1(image) || image.header.cryptMethod === 1) return aesKey(passphrase);
  const { header, offset } = await readLuks(image, signal);
  return unlockLuks(image.source, header, offset, passphrase, { signal });
}
