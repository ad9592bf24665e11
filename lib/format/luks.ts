import { UnqcowError } from '../errors.ts';
import { SECTOR } from '../units.ts';
import { text } from './extensions.ts';
import { readStruct, type Struct, viewOf } from './struct.ts';

/** LUKS On-Disk Format 1.2.3 § 2.2, bytes 0–207, without its strings and salts. */
const HEADER = {
  version: [6, 'u16'],
  payloadSector: [104, 'u32'],
  keyBytes: [108, 'u32'],
  digestIterations: [164, 'u32'],
} as const satisfies Struct;

/** The header's strings and salts: where each starts and ends, in bytes. */
const BYTES = {
  magic: [0, 6],
  cipherName: [8, 40],
  cipherMode: [40, 72],
  hash: [72, 104],
  digest: [112, 132],
  digestSalt: [132, 164],
  uuid: [168, 208],
} as const;

/** LUKS On-Disk Format 1.2.3 § 2.3: one of eight, from byte 208 on, 48 bytes each. Its salt is bytes 8–39. */
const SLOT = {
  active: [0, 'u32'],
  iterations: [4, 'u32'],
  materialSector: [40, 'u32'],
  stripes: [44, 'u32'],
} as const satisfies Struct;
const SLOT_SALT = [8, 40] as const;
const FIRST_SLOT = 208;
const SLOT_BYTES = 48;
const SLOTS = 8;

/** What a LUKS1 header needs to be parsed, in bytes. Key material follows it. */
export const LUKS_HEADER_BYTES = FIRST_SLOT + SLOTS * SLOT_BYTES;
const MAGIC = [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe];
const SLOT_STATES = new Map([
  [0x00ac71f3, true],
  [0x0000dead, false],
]);
/** Every writer has used this number, QEMU reads no other, and it bounds the memory that a slot takes. */
const STRIPES = 4000;
/** Of keys for ciphers that we do not know. AES has at most 64, in XTS. */
const MAX_KEY_BYTES = 512;

export interface LuksSlot {
  readonly active: boolean;
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** Where the key material starts, in bytes from the LUKS header's start. */
  readonly offset: number;
  readonly stripes: number;
}

/** A LUKS1 header. Names are as they are written, known or not. Of inactive slots nothing is checked. */
export interface LuksHeader {
  readonly cipherName: string;
  /** The first part of `xts-plain64`. */
  readonly mode: string;
  /** The second part, up to its colon. */
  readonly ivGenerator: string;
  /** What follows the colon in `essiv:sha256`. */
  readonly ivHash: string | undefined;
  /** Of PBKDF2 and of the anti-forensic splitter. */
  readonly hash: string;
  /** In bytes from the LUKS header's start. In a QCOW2 image nothing lies there. */
  readonly payloadOffset: number;
  /** How long the master key is. XTS has two keys in one. */
  readonly keyBytes: number;
  readonly digest: Uint8Array;
  readonly digestSalt: Uint8Array;
  readonly digestIterations: number;
  readonly uuid: string;
  readonly slots: readonly LuksSlot[];
}

const refuse = (message: string, field: string) => new UnqcowError('BAD_LUKS_HEADER', message, { at: `luks.${field}` });
const unsupported = (message: string, field: string) =>
  new UnqcowError('UNSUPPORTED_ENCRYPTION', message, { at: `luks.${field}` });

/**
 * Parses a LUKS1 header and checks what can be checked without a passphrase. What it names need not be something that
 * we can decrypt: `diskCipherOf` says so.
 *
 * @param bytes The header's 592 bytes; what follows is ignored.
 * @param length How many bytes the image has for the header and its key material, where that is known.
 * @throws UnqcowError `BAD_LUKS_HEADER`; `UNSUPPORTED_ENCRYPTION` for LUKS2, which has another layout.
 */
export function parseLuks(bytes: Uint8Array, length = Number.POSITIVE_INFINITY): LuksHeader {
  if (bytes.length < LUKS_HEADER_BYTES) throw refuse(`${bytes.length} bytes are not ${LUKS_HEADER_BYTES}`, 'magic');
  const part = (field: keyof typeof BYTES) => bytes.slice(...BYTES[field]);
  const { version, payloadSector, keyBytes, digestIterations } = readStruct(viewOf(bytes), HEADER);
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) throw refuse('the header does not start with "LUKS"', 'magic');
  if (version === 2) throw unsupported('LUKS version 2 is not read', 'version');
  if (version !== 1) throw refuse(`there is no LUKS version ${version}`, 'version');
  const name = nameFrom(part('cipherName'), 'cipher_name');
  const mode = modeFrom(nameFrom(part('cipherMode'), 'cipher_mode'));
  checkKeyBytes(name, mode.mode, keyBytes);
  if (digestIterations === 0) throw refuse('the master key digest has no iterations', 'mk_digest_iterations');
  const payloadOffset = payloadSector * SECTOR;
  const end = Math.min(length, payloadOffset);
  return {
    cipherName: name,
    ...mode,
    hash: nameFrom(part('hash'), 'hash_spec'),
    payloadOffset,
    keyBytes,
    digest: part('digest'),
    digestSalt: part('digestSalt'),
    digestIterations,
    uuid: text(part('uuid')),
    slots: Array.from({ length: SLOTS }, (_, i) => slotFrom(bytes, i, keyBytes, end)),
  };
}

function nameFrom(bytes: Uint8Array, field: string): string {
  if (bytes[0] === 0 || !bytes.includes(0)) throw refuse('the name is empty or has no end', field);
  return text(bytes);
}

function modeFrom(name: string): Pick<LuksHeader, 'mode' | 'ivGenerator' | 'ivHash'> {
  const [, mode = '', ivGenerator = '', ivHash] = /^([^-]+)-([^:]+)(?::(.*))?$/s.exec(name) ?? [];
  if (mode === '') throw refuse(`the mode ${JSON.stringify(name)} names no IV generator`, 'cipher_mode');
  if (ivGenerator === 'essiv' && !ivHash) throw refuse('the IV generator essiv has no hash', 'cipher_mode');
  return { mode, ivGenerator, ivHash };
}

function checkKeyBytes(cipherName: string, mode: string, keyBytes: number): void {
  const keys = mode === 'xts' ? 2 : 1;
  const fits =
    cipherName === 'aes' ? [16, 24, 32].includes(keyBytes / keys) : keyBytes > 0 && keyBytes <= MAX_KEY_BYTES;
  if (!fits) throw refuse(`${cipherName} in mode ${mode} has no keys of ${keyBytes} bytes`, 'key_bytes');
}

function slotFrom(bytes: Uint8Array, index: number, keyBytes: number, end: number): LuksSlot {
  const base = FIRST_SLOT + index * SLOT_BYTES;
  const { active, iterations, materialSector, stripes } = readStruct(viewOf(bytes), SLOT, base);
  const slot = {
    active: SLOT_STATES.get(active),
    iterations,
    salt: bytes.slice(base + SLOT_SALT[0], base + SLOT_SALT[1]),
    offset: materialSector * SECTOR,
    stripes,
  };
  const at = `slots[${index}]`;
  if (slot.active === undefined) throw refuse(`0x${active.toString(16)} is no state of a key slot`, `${at}.active`);
  if (slot.active) {
    if (iterations === 0) throw refuse('the key slot has no iterations', `${at}.iterations`);
    if (stripes !== STRIPES) throw refuse(`${stripes} stripes are not ${STRIPES}`, `${at}.stripes`);
    if (slot.offset < LUKS_HEADER_BYTES || slot.offset + keyBytes * stripes > end) {
      throw refuse(`the key material cannot lie at ${slot.offset}`, `${at}.key_material_offset`);
    }
  }
  return { ...slot, active: slot.active };
}

/** What `qemu-img info --output=json` says of a LUKS image under `encrypt`, in its keys and units. Needs no key. */
export interface LuksInfo {
  readonly format: 'luks';
  readonly 'cipher-alg': string;
  readonly 'cipher-mode': string;
  readonly 'ivgen-alg': string;
  readonly 'ivgen-hash-alg'?: string;
  readonly 'hash-alg': string;
  readonly uuid: string;
  readonly 'payload-offset': number;
  readonly 'master-key-iters': number;
  readonly slots: readonly {
    readonly active: boolean;
    readonly iters?: number;
    readonly stripes?: number;
    readonly 'key-offset': number;
  }[];
}

export function describeLuks(header: LuksHeader): LuksInfo {
  const { ivGenerator, ivHash } = header;
  return {
    format: 'luks',
    'cipher-alg': cipherAlgOf(header),
    'cipher-mode': header.mode,
    'ivgen-alg': ivGenerator,
    // Other generators ignore their hash, as dm-crypt and QEMU do.
    ...(ivGenerator === 'essiv' && ivHash !== undefined ? { 'ivgen-hash-alg': ivHash } : {}),
    'hash-alg': header.hash,
    uuid: header.uuid,
    'payload-offset': header.payloadOffset,
    'master-key-iters': header.digestIterations,
    slots: header.slots.map(({ active, iterations, stripes, offset }) => ({
      active,
      ...(active ? { iters: iterations, stripes } : {}),
      'key-offset': offset,
    })),
  };
}

/** `aes-256`: the cipher, and the bits of one key. */
function cipherAlgOf({ cipherName, mode, keyBytes }: LuksHeader): string {
  return `${cipherName}-${(keyBytes * 8) / (mode === 'xts' ? 2 : 1)}`;
}

const CIPHERS = ['aes-128', 'aes-192', 'aes-256'] as const;
const MODES = ['xts', 'cbc', 'ecb', 'ctr'] as const;
/** ESSIV's key is as long as its hash: of the hashes, only these two make a key that AES has. */
const IV_GENERATORS = ['plain', 'plain64', 'essiv:md5', 'essiv:sha256'] as const;
const HASHES = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'ripemd160'];

/** How a disk's sectors are encrypted, as far as we can decrypt it. */
export interface DiskCipher {
  readonly cipher: (typeof CIPHERS)[number];
  readonly mode: (typeof MODES)[number];
  readonly iv: (typeof IV_GENERATORS)[number];
}

/**
 * How the disk is encrypted, if we can decrypt that. Needs no key: a job can be refused before anyone is asked for one.
 *
 * @throws UnqcowError `UNSUPPORTED_ENCRYPTION`, by name, for ciphers, modes, IV generators and hashes that we lack.
 */
export function diskCipherOf(header: LuksHeader): DiskCipher {
  const { ivGenerator, ivHash } = header;
  const iv = ivGenerator === 'essiv' ? `essiv:${ivHash}` : ivGenerator;
  if (!HASHES.includes(header.hash)) throw unsupported(`the hash ${JSON.stringify(header.hash)}`, 'hash_spec');
  return {
    cipher: known(CIPHERS, cipherAlgOf(header), 'cipher', 'cipher_name'),
    mode: known(MODES, header.mode, 'mode', 'cipher_mode'),
    iv: known(IV_GENERATORS, iv, 'IV generator', 'cipher_mode'),
  };
}

function known<T extends string>(names: readonly T[], name: string, what: string, field: string): T {
  const found = names.find((each) => each === name);
  if (found === undefined) throw unsupported(`the ${what} ${JSON.stringify(name)}`, field);
  return found;
}
