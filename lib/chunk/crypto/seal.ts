import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

/** Bytes under a secret, bound to what they are for. Both fields in base64; safe to store. */
export interface Sealed {
  readonly salt: string;
  /** AES-256-GCM's output, its tag of 16 bytes at the end. */
  readonly bytes: string;
}

const CIPHER = 'aes-256-gcm';
const SALT = 32;
const KEY = 32;
const NONCE = 12;
const TAG = 16;

/**
 * Seals bytes by AES-256-GCM. Key and nonce come from the secret by HKDF-SHA-256 over a new random salt, so none is ever
 * used twice; `purpose` goes into them, so that what was sealed for one thing opens for no other.
 *
 * @param secret Of high entropy: nothing here slows down who tries secrets.
 */
export function seal(secret: Uint8Array, purpose: string, bytes: Uint8Array): Sealed {
  const salt = randomBytes(SALT);
  const { key, nonce } = keyOf(secret, purpose, salt);
  const cipher = createCipheriv(CIPHER, key, nonce);
  key.fill(0);
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  return { salt: salt.toString('base64'), bytes: sealed.toString('base64') };
}

/** What was sealed. @throws Error if it was changed, or sealed under another secret or for another purpose. */
export function unseal(secret: Uint8Array, purpose: string, sealed: Sealed): Uint8Array {
  const bytes = Buffer.from(sealed.bytes, 'base64');
  const { key, nonce } = keyOf(secret, purpose, Buffer.from(sealed.salt, 'base64'));
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG }).setAuthTag(bytes.subarray(-TAG));
  key.fill(0);
  const opened = decipher.update(bytes.subarray(0, -TAG));
  decipher.final();
  return opened;
}

function keyOf(secret: Uint8Array, purpose: string, salt: Uint8Array) {
  // Hashed, since HKDF takes at most 1,024 bytes of it.
  const info = createHash('sha256').update(purpose).digest();
  const made = new Uint8Array(hkdfSync('sha256', secret, salt, info, KEY + NONCE));
  return { key: made.subarray(0, KEY), nonce: made.subarray(KEY) };
}
