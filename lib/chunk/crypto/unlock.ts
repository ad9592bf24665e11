import { pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { UnqcowError } from '../../errors.ts';
import { type DiskCipher, diskCipherOf, type LuksHeader, type LuksSlot } from '../../format/luks.ts';
import type { ByteSource, ReadOptions } from '../../source/byte-source.ts';
import { SECTOR } from '../../units.ts';
import { afMerge } from './af-merge.ts';
import { decryptorOf } from './decrypt.ts';
import type { DiskKey } from './disk-key.ts';

const derive = promisify(pbkdf2);

/**
 * What eight slots of QEMU's default cost at most: about 8 million each, and 2 million for the digest of each key tried.
 * Half a minute for SHA-256 and keys of 32 bytes, a minute for 64; four minutes at worst, for MD5.
 */
const MAX_ITERATIONS = 100_000_000;

/** The key of encryption method 1: the passphrase itself, cut or filled with zeros to 16 bytes. No passphrase is wrong. */
export function aesKey(passphrase: Uint8Array): DiskKey {
  const bytes = new Uint8Array(16);
  bytes.set(passphrase.subarray(0, 16));
  return { cipher: 'aes-128', mode: 'cbc', iv: 'plain64', numbering: 'guest', bytes };
}

interface Unlocking {
  readonly source: ByteSource;
  readonly header: LuksHeader;
  readonly headerOffset: number;
  readonly passphrase: Uint8Array;
  readonly cipher: DiskCipher;
  readonly signal: AbortSignal | undefined;
}

/**
 * Finds the disk's master key by trying the passphrase on every active key slot, those with few iterations first.
 *
 * Costs one read of up to 256,000 bytes a slot, and its iterations on a thread of libuv's pool: a million take 0.3 s for
 * SHA-256 and keys of 32 bytes, and twice that for 64. A signal is heeded between derivations.
 *
 * @param headerOffset Where the LUKS header lies, in bytes of `source`.
 * @param passphrase Its exact bytes: a trailing newline counts. Not changed.
 * @throws UnqcowError `WRONG_KEY`; `KEY_TOO_COSTLY` if no slot opens and not all could be tried; `BAD_LUKS_HEADER` if
 * none opens and one has its key material past the end of the file; `UNSUPPORTED_ENCRYPTION`; as the source does.
 */
export async function unlockLuks(
  source: ByteSource,
  header: LuksHeader,
  headerOffset: number,
  passphrase: Uint8Array,
  { signal }: Pick<ReadOptions, 'signal'> = {},
): Promise<DiskKey> {
  const unlocking = { source, header, headerOffset, passphrase, cipher: diskCipherOf(header), signal };
  const active = header.slots.filter((slot) => slot.active).toSorted((a, b) => a.iterations - b.iterations);
  const isThere = (slot: LuksSlot) => headerOffset + slot.offset + materialBytes(header, slot) <= source.size;
  let iterations = 0;
  for (const slot of active.filter(isThere)) {
    iterations += slot.iterations + header.digestIterations;
    if (iterations > MAX_ITERATIONS) {
      const message = `trying the key slots takes more than ${MAX_ITERATIONS} iterations`;
      throw new UnqcowError('KEY_TOO_COSTLY', message, { at: `luks.slots[${header.slots.indexOf(slot)}].iterations` });
    }
    const bytes = await openSlot(unlocking, slot);
    if (bytes) return { ...unlocking.cipher, numbering: 'host', bytes };
  }
  const missing = active.find((slot) => !isThere(slot));
  if (!missing) throw new UnqcowError('WRONG_KEY', 'the passphrase opens none of the key slots', { at: 'luks.slots' });
  throw new UnqcowError('BAD_LUKS_HEADER', 'the key material lies past the end of the file', {
    at: `luks.slots[${header.slots.indexOf(missing)}].key_material_offset`,
  });
}

function materialBytes({ keyBytes }: LuksHeader, { stripes }: LuksSlot): number {
  return keyBytes * stripes;
}

/** The master key, if the passphrase opens this slot. */
async function openSlot(unlocking: Unlocking, slot: LuksSlot): Promise<Uint8Array | undefined> {
  const { header, passphrase, cipher, signal } = unlocking;
  const { keyBytes, hash, digest, digestSalt, digestIterations } = header;
  const material = await readMaterial(unlocking, slot);
  const slotKey = await derive(passphrase, slot.salt, slot.iterations, keyBytes, hash);
  decryptorOf({ ...cipher, numbering: 'host', bytes: slotKey })(material, 0);
  slotKey.fill(0);
  const candidate = afMerge(material.subarray(0, materialBytes(header, slot)), keyBytes, hash);
  material.fill(0);
  if (!signal?.aborted) {
    const candidateDigest = await derive(candidate, digestSalt, digestIterations, digest.length, hash);
    if (timingSafeEqual(candidateDigest, digest)) return candidate;
  }
  candidate.fill(0);
  signal?.throwIfAborted();
  return undefined;
}

/** A slot's key material, in whole sectors: it may end inside of one. */
async function readMaterial({ source, header, headerOffset, signal }: Unlocking, slot: LuksSlot): Promise<Uint8Array> {
  const start = headerOffset + slot.offset;
  const material = new Uint8Array(Math.ceil(materialBytes(header, slot) / SECTOR) * SECTOR);
  const end = Math.min(start + material.length, source.size);
  await source.read({ start, end }, { signal, into: material.subarray(0, end - start) });
  return material;
}
