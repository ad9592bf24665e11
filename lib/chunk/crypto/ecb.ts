import { createCipheriv, createDecipheriv } from 'node:crypto';

/** AES's block, in bytes. */
export const BLOCK = 16;

/** Maps whole blocks to new ones, each on its own. */
export type Blocks = (bytes: Uint8Array) => Uint8Array;

/** AES alone, of the key's length: what all modes can be made of. One cipher object serves any number of calls. */
export function encryptBlocks(key: Uint8Array): Blocks {
  const cipher = createCipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false);
  return (bytes) => cipher.update(bytes);
}

export function decryptBlocks(key: Uint8Array): Blocks {
  const decipher = createDecipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false);
  return (bytes) => decipher.update(bytes);
}
