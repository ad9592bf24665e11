import {
  CHAINS,
  DATA_FILES,
  FEATURE_RECIPES,
  RECIPES,
  type Recipe,
  type Recipes,
  SCATTERED,
  SNAPSHOT_DISKS,
} from '../recipes.ts';
import { COPIED, compressedEntry, deflated, EXT, type ImageSpec, imageBytes, ZERO } from '../support/hostile.ts';
import { compressedV1, type Qcow1Spec, qcow1Bytes } from '../support/hostile-v1.ts';
import { noise } from '../support/qemu.ts';

/** A good image, to be damaged: made by QEMU, or byte by byte. */
export interface Seed {
  readonly format: 'qcow' | 'qcow2';
  readonly made: Recipe | Uint8Array;
  /** With `PASSPHRASE`. */
  readonly encrypted?: true;
  /** The format of its backing file, which version 1 does not state. */
  readonly backingFormat?: 'raw' | 'qcow2';
  /** What is converted, by its name, instead of the active disk. */
  readonly snapshot?: string;
}

export const PASSPHRASE = 'sesame';
export const SECRET = `secret,id=s,data=${PASSPHRASE}`;

/** A few KiB with one of each kind of cluster, extensions and two L2 tables: damage hits something that matters. */
const STREAM = deflated(Buffer.from(noise(2048).toString('hex')));
const DATA = [noise(4096), STREAM, noise(4096, 'hidden'), Buffer.alloc(4096)];
const DENSE: ImageSpec = {
  size: 3n << 20n,
  extensions: [
    { type: EXT.featureNames, data: Buffer.alloc(48) },
    { type: EXT.unknown, data: 'odd' },
  ],
  l1: [COPIED | 0x4000n, COPIED | 0x8000n],
  l2: [COPIED | 0x5000n, compressedEntry(0x6000, STREAM.length), ZERO, 0n, COPIED | ZERO | 0x7000n],
  data: DATA,
};
const DENSE_V1: Qcow1Spec = {
  size: 3n << 20n,
  l1: [0x1000n, 0x5000n],
  l2: [0x2000n, compressedV1(0x3000, STREAM.length), 0n, 0x4000n],
  data: DATA,
};

const BYTES: Readonly<Record<string, Seed>> = {
  'bytes v3': { format: 'qcow2', made: imageBytes(DENSE) },
  'bytes v2': { format: 'qcow2', made: imageBytes({ ...DENSE, version: 2, l2: DENSE.l2?.slice(0, 2) ?? [] }) },
  'bytes v1': { format: 'qcow', made: qcow1Bytes(DENSE_V1) },
};

const V1: Recipes = {
  plain: ['create -f qcow disk 16M', 'io write -P 0x66 1M 64k', 'io write -P 0x67 9M 8k'],
  'half clusters': ['create -f qcow disk 4M', 'io write -P 1 511 1026', 'io write -P 2 2097000 300'],
  'over raw': ['bytes base 300000', 'create -f qcow -b base -F raw disk 1M', 'io write -P 3 1k 3k'],
  'over qcow2': [
    'create -f qcow2 -o cluster_size=4k base 1M',
    'io write -P 4 0 300k',
    'create -f qcow -b base -F qcow2 disk 1M',
    'io write -P 5 100k 3k',
  ],
};

const encrypt = (format: string, options: string): Recipe => [
  `convert --object ${SECRET} -f raw -O ${format} -o encrypt.key-secret=s,${options} text disk`,
];
const LUKS = 'encrypt.format=luks,encrypt.iter-time=10,encrypt.cipher-alg=aes-128,cluster_size=4k';
const ENCRYPTED: Readonly<Record<string, Seed>> = {
  aes: { format: 'qcow2', made: encrypt('qcow2', 'encrypt.format=aes'), encrypted: true },
  'aes v1': { format: 'qcow', made: encrypt('qcow', 'encrypt.format=aes'), encrypted: true },
  luks: { format: 'qcow2', made: encrypt('qcow2', LUKS), encrypted: true },
  'luks cbc essiv': {
    format: 'qcow2',
    made: encrypt(
      'qcow2',
      `${LUKS},encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256,encrypt.hash-alg=sha1`,
    ),
    encrypted: true,
  },
};

function seedsOf(kind: string, recipes: Recipes, names: readonly string[], more: Partial<Seed> = {}) {
  return names.map((name): [string, Seed] => {
    const made = recipes[name];
    if (!made) throw new Error(`there is no recipe ${name}`);
    return [`${kind} ${name}`, { format: 'qcow2', made, ...more }];
  });
}

const FEATURES = `zstd-clusters-4k zstd-of-text-64k zstd-last-cluster-partial deflate-of-text-512 extl2-file-ends-mid-cluster
  extl2-zlib-16k extl2-zstd-64k extl2-many-l2-tables bitmaps bitmaps-small-clusters
  bitmaps-and-snapshots bitmaps-stale snapshots-many foreign-bytes-behind foreign-bytes-behind-compressed`;
const PLAIN = `v2-small-clusters v2-compressed v2-zero size-0 size-513 last-cluster-partial last-cluster-partial-compressed
  compressed-small-clusters compressed-of-noise-v2 compressed-among-plain zero-allocated refcount-1 refcount-64 snapshot
  snapshot-v2 fragmented-small-clusters many-l2-tables every-l2-table noise-v2-1k pattern-across-clusters`;
const LAYERED = `raw-of-1000 qcow2-shorter qcow2-longer over-compressed-zstd many-tables-in-each
  zeros-and-discards-over-data-0.10 shorter-in-the-middle snapshots-and-bitmaps-in-each`;
const SPLIT = 'raw-off-4k raw-on-64k raw-off-extl2 over-raw in-each-of-a-chain with-bitmaps';
const words = (text: string) => text.split(/\s+/);

/** Every kind of image that there is, small ones. */
export const SEEDS: Readonly<Record<string, Seed>> = {
  ...BYTES,
  ...ENCRYPTED,
  ...Object.fromEntries([
    ...seedsOf('plain', RECIPES, words(PLAIN)),
    ...seedsOf('feature', FEATURE_RECIPES, words(FEATURES)),
    ...seedsOf('feature', SCATTERED, ['scattered-16k-compressed', 'scattered-16k-over-raw']),
    ...seedsOf('chain', CHAINS, words(LAYERED)),
    ...seedsOf('data file', DATA_FILES, words(SPLIT)),
    ...seedsOf('v1', V1, ['plain', 'half clusters'], { format: 'qcow' }),
    ...seedsOf('v1', V1, ['over raw'], { format: 'qcow', backingFormat: 'raw' }),
    ...seedsOf('v1', V1, ['over qcow2'], { format: 'qcow', backingFormat: 'qcow2' }),
    ...seedsOf('snapshot of', SNAPSHOT_DISKS, ['v3-4k', 'v2-512'], { snapshot: 'first' }),
  ]),
};
