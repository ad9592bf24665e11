/**
 * Images that the reference tool makes: each a list of commands, run in an empty folder.
 *
 * `create`, `convert`, `resize` and `snapshot` are `qemu-img`'s; `io` is a command of `qemu-io` on the file that was
 * created last. The image is the file `disk`. `noise` is 1 MiB of bytes that do not compress, the same in every run;
 * `text` as much that compresses to half. `bytes` makes a file of so many bytes, `append` adds them, and `patch` puts
 * hexadecimal bytes at an offset.
 */
export const RECIPES = {
  // Cluster sizes
  'clusters-512': [
    'create -f qcow2 -o cluster_size=512 disk 1M',
    'io write -P 0x11 511 1026',
    'io write -P 0x12 700k 40k',
  ],
  'clusters-1k': ['create -f qcow2 -o cluster_size=1k disk 1M', 'io write -P 0x13 3k 5k', 'io write -z 4k 1k'],
  'clusters-4k': [
    'create -f qcow2 -o cluster_size=4k disk 8M',
    'io write -P 0x14 4095 4098',
    'io write -s noise 3M 256k',
  ],
  'clusters-64k': ['create -f qcow2 disk 16M', 'io write -P 0x15 1M 64k', 'io write -P 0x16 9M 200k'],
  'clusters-128k': [
    'create -f qcow2 -o cluster_size=128k disk 64M',
    'io write -P 0x17 127k 2k',
    'io write -c -P 1 1M 256k',
  ],
  'clusters-2m': ['create -f qcow2 -o cluster_size=2M disk 64M', 'io write -P 0x18 2047k 2k', 'io write -c -P 2 8M 2M'],

  // Version 2
  'v2-empty': ['create -f qcow2 -o compat=0.10 disk 16M'],
  'v2-small-clusters': ['create -f qcow2 -o compat=0.10,cluster_size=512 disk 4M', 'io write -P 0x21 511 1026'],
  'v2-plain': ['create -f qcow2 -o compat=0.10 disk 16M', 'io write -P 0x22 0 128k', 'io write -s noise 5M 300k'],
  'v2-compressed': [
    'create -f qcow2 -o compat=0.10 disk 16M',
    'io write -c -P 0x23 64k 192k',
    'io write -P 0x24 2M 64k',
  ],
  'v2-zero': ['create -f qcow2 -o compat=0.10 disk 4M', 'io write -P 0x25 0 256k', 'io write -z 64k 64k'],
  'v2-discarded': ['create -f qcow2 -o compat=0.10 disk 4M', 'io write -P 0x26 0 256k', 'io discard 128k 64k'],
  'v2-2m': ['create -f qcow2 -o compat=0.10,cluster_size=2M disk 32M', 'io write -P 0x27 6M 3M'],

  // Sizes
  'size-0': ['create -f qcow2 disk 0'],
  'size-512': ['create -f qcow2 disk 512', 'io write -P 0x31 0 512'],
  'size-513': ['create -f qcow2 disk 513', 'io write -P 0x32 0 1024'],
  'last-cluster-partial': ['create -f qcow2 disk 1311232', 'io write -P 0x33 1245184 66048', 'io write -P 0x34 0 64k'],
  'last-cluster-partial-compressed': ['create -f qcow2 disk 328192', 'io write -c -P 0x35 256k 66048'],
  'last-cluster-partial-zero': ['create -f qcow2 disk 328192', 'io write -P 1 0 328192', 'io write -z 256k 66048'],
  empty: ['create -f qcow2 disk 100M'],

  // Compressed
  compressed: ['create -f qcow2 disk 16M', 'io write -c -P 0x41 0 64k', 'io write -c -P 0x42 1M 1M'],
  'compressed-small-clusters': ['create -f qcow2 -o cluster_size=4k disk 4M', 'io write -c -P 0x43 0 512k'],
  'compressed-by-convert': [
    'create -f qcow2 source 8M',
    'io write -P 0x44 0 1M',
    'io write -s noise 2M 100k',
    'io write -P 0x45 7M 1M',
    'convert -c -O qcow2 source disk',
  ],
  'compressed-of-noise': ['convert -c -f raw -O qcow2 noise disk'],
  'compressed-of-noise-v2': ['convert -c -f raw -O qcow2 -o compat=0.10,cluster_size=4k noise disk'],
  'compressed-among-plain': [
    'create -f qcow2 disk 4M',
    'io write -c -P 0x46 0 64k',
    'io write -P 0x47 64k 64k',
    'io write -c -P 0x48 128k 64k',
    'io write -z 192k 64k',
    'io write -c -P 0x49 256k 64k',
  ],
  'compressed-rewritten': ['create -f qcow2 disk 4M', 'io write -c -P 0x4a 0 256k', 'io write -P 0x4b 100k 3k'],

  // Zeros
  zero: ['create -f qcow2 disk 4M', 'io write -z 0 1M', 'io write -P 0x51 2M 64k'],
  'zero-allocated': ['create -f qcow2 disk 4M', 'io write -P 0x52 0 1M', 'io write -z 64k 256k'],
  'zero-unmapped': ['create -f qcow2 disk 4M', 'io write -P 0x53 0 1M', 'io write -zu 64k 256k'],
  'zero-written': ['create -f qcow2 disk 4M', 'io write -P 0 0 1M'],
  discarded: ['create -f qcow2 disk 4M', 'io write -P 0x54 0 1M', 'io discard 192k 320k'],
  'discarded-zero-allocated': [
    'create -f qcow2 disk 4M',
    'io write -P 0x55 0 1M',
    'io write -z 0 512k',
    'io discard 64k 256k',
  ],

  // Allocated beforehand
  'preallocated-metadata': ['create -f qcow2 -o preallocation=metadata disk 8M', 'io write -P 0x61 1M 64k'],
  'preallocated-falloc': ['create -f qcow2 -o preallocation=falloc disk 4M', 'io write -P 0x62 1M 64k'],
  'preallocated-full': ['create -f qcow2 -o preallocation=full disk 4M', 'io write -P 0x63 1M 64k'],

  // Refcounts, which reading needs not
  'lazy-refcounts': ['create -f qcow2 -o lazy_refcounts=on disk 4M', 'io write -P 0x71 0 128k'],
  'refcount-1': ['create -f qcow2 -o refcount_bits=1 disk 4M', 'io write -P 0x72 0 128k'],
  'refcount-8': ['create -f qcow2 -o refcount_bits=8 disk 4M', 'io write -c -P 0x73 0 128k'],
  'refcount-64': ['create -f qcow2 -o refcount_bits=64 disk 4M', 'io write -P 0x74 0 128k'],

  // Histories
  grown: [
    'create -f qcow2 -o cluster_size=4k disk 4M',
    'io write -P 0x81 3M 1M',
    'resize disk 60M',
    'io write -P 0x82 59M 64k',
  ],
  'grown-by-little': ['create -f qcow2 disk 65024', 'io write -P 0x83 0 65024', 'resize disk 66048'],
  shrunk: [
    'create -f qcow2 -o cluster_size=4k disk 60M',
    'io write -P 0x84 0 64k',
    'io write -P 0x85 55M 64k',
    'resize --shrink disk 3M',
  ],
  fragmented: [
    'create -f qcow2 disk 2M',
    ...[13, 2, 29, 7, 19, 5, 31, 11, 23, 3, 17, 0, 1, 30].map((at) => `io write -P ${at + 1} ${at * 64}k 64k`),
  ],
  'fragmented-small-clusters': [
    'create -f qcow2 -o cluster_size=512 disk 64k',
    ...Array.from({ length: 64 }, (_, i) => `io write -P ${i + 1} ${((i * 37) % 128) * 512} 512`),
  ],
  snapshot: [
    'create -f qcow2 disk 4M',
    'io write -P 0x86 0 1M',
    'snapshot -c before disk',
    'io write -P 0x87 64k 128k',
  ],
  'snapshot-v2': [
    'create -f qcow2 -o compat=0.10 disk 4M',
    'io write -P 0x88 0 256k',
    'snapshot -c before disk',
    'snapshot -c again disk',
    'io write -c -P 0x89 1M 64k',
  ],

  // Many tables
  'second-l2-table': ['create -f qcow2 disk 600M', 'io write -P 0x91 511M 2M', 'io write -P 0x92 599M 1M'],
  'second-l2-table-only': ['create -f qcow2 -o cluster_size=16k disk 40M', 'io write -P 0x93 32M 64k'],
  'many-l2-tables': [
    'create -f qcow2 -o cluster_size=512 disk 4M',
    ...[0, 31, 32, 33, 640, 2047, 3000, 4095].map((at) => `io write -P ${(at % 255) + 1} ${at}k 1k`),
  ],
  'every-l2-table': ['create -f qcow2 -o cluster_size=512 disk 1M', 'io write -s noise 0 1M'],

  // Whole disks
  noise: ['convert -f raw -O qcow2 noise disk'],
  'noise-v2-1k': ['convert -f raw -O qcow2 -o compat=0.10,cluster_size=1k noise disk'],
  'pattern-across-clusters': [
    'create -f qcow2 disk 2M',
    ...[1, 2, 3, 5, 8, 13, 21].map((at) => `io write -P ${0xa0 + at} ${at * 65536 - 513} 1025`),
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type RecipeName = keyof typeof RECIPES;

export type Recipe = readonly string[];
export type Recipes = Readonly<Record<string, Recipe>>;

/** Numbers that look like chance, and are the same in every run. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) % sides;
  };
}

const KiB = 1024;
const MiB = 1024 * KiB;

interface Scatter {
  readonly seed: number;
  /** Bytes of disk. */
  readonly size: number;
  /** Of what each place and length is a multiple. */
  readonly unit: number;
  readonly count: number;
  /** Lengths, at most, in units. */
  readonly longest?: number;
  /** The cluster size, to have some clusters compressed. */
  readonly compressed?: number;
}

/** Writes, zeros and discards all over a disk; first, every other cluster compressed, since QEMU writes over none. */
function scattered({ seed, size, unit, count, longest = 16, compressed }: Scatter): string[] {
  const roll = dice(seed);
  const verbs = [`write -P ${1 + (seed % 255)}`, 'write -s text', 'write -z', 'write -zu', 'discard'];
  const streams = compressed === undefined ? 0 : Math.min(Math.floor(size / compressed / 2), count);
  return [
    ...Array.from({ length: streams }, (_, i) => {
      const verb = roll(2) === 0 ? `write -c -P ${1 + i}` : 'write -c -s text';
      return `io ${verb} ${(2 * i + roll(2)) * (compressed as number)} ${compressed}`;
    }),
    ...Array.from({ length: count }, () => {
      const at = roll(Math.floor(size / unit)) * unit;
      return `io ${verbs[roll(8) % 5]} ${at} ${Math.min((1 + roll(longest)) * unit, size - at)}`;
    }),
  ];
}

const entries = <T>(values: readonly T[], make: (value: T) => readonly [string, Recipe]): Recipes =>
  Object.fromEntries(values.map(make));

/** Images compressed by zstd. */
const ZSTD: Recipes = {
  ...entries(['512', '1k', '4k', '64k', '512k', '2M'], (size) => [
    `zstd-clusters-${size}`,
    [
      `create -f qcow2 -o compression_type=zstd,cluster_size=${size} disk 8M`,
      `io write -c -P 0x31 0 ${size}`,
      `io write -c -s text 4M 2M`,
      `io write -P 0x32 2M 1000k`,
    ],
  ]),
  ...entries(['512', '64k', '2M'], (size) => [
    `zstd-of-noise-${size}`,
    [`convert -c -f raw -O qcow2 -o compression_type=zstd,cluster_size=${size} noise disk`],
  ]),
  ...entries(['4k', '64k'], (size) => [
    `zstd-of-text-${size}`,
    [`convert -c -f raw -O qcow2 -o compression_type=zstd,cluster_size=${size} text disk`],
  ]),
  'zstd-unused': ['create -f qcow2 -o compression_type=zstd disk 4M', 'io write -P 0x33 0 100k'],
  'zstd-rewritten': [
    'create -f qcow2 -o compression_type=zstd disk 4M',
    'io write -c -P 0x34 0 256k',
    'io write -P 0x35 100k 3k',
    'io discard 128k 64k',
  ],
  'zstd-last-cluster-partial': [
    'create -f qcow2 -o compression_type=zstd disk 328192',
    'io write -c -P 0x36 256k 66048',
  ],
  'deflate-of-text-512': ['convert -c -f raw -O qcow2 -o cluster_size=512 text disk'],
  'deflate-of-text-2m': ['convert -c -f raw -O qcow2 -o cluster_size=2M text disk'],
};

/** Images whose clusters are split into 32. */
const SUBCLUSTERS: Recipes = {
  'extl2-empty': ['create -f qcow2 -o extended_l2=on disk 16M'],
  'extl2-file-ends-mid-cluster': ['create -f qcow2 -o extended_l2=on disk 16M', 'io write -P 0x41 2k 2k'],
  'extl2-file-ends-mid-cluster-2m': [
    'create -f qcow2 -o extended_l2=on,cluster_size=2M disk 16M',
    'io write -P 0x42 3M 64k',
  ],
  'extl2-last-subcluster-partial': [
    'create -f qcow2 -o extended_l2=on disk 67072',
    'io write -P 0x43 0 67072',
    'io write -z 66048 1024',
  ],
  'extl2-size-513': ['create -f qcow2 -o extended_l2=on disk 513', 'io write -P 0x44 0 1024'],
  'extl2-second-l2-table': [
    'create -f qcow2 -o extended_l2=on,cluster_size=16k disk 40M',
    'io write -P 0x45 16380k 8k',
    'io write -z 32M 1M',
  ],
  'extl2-many-l2-tables': [
    'create -f qcow2 -o extended_l2=on,cluster_size=16k disk 400M',
    ...[0, 15, 16, 17, 300, 399].map((at) => `io write -P ${at % 255 || 3} ${at * 1024}k 3k`),
  ],
  ...entries(['metadata', 'falloc', 'full'], (how) => [
    `extl2-preallocated-${how}`,
    [
      `create -f qcow2 -o extended_l2=on,preallocation=${how} disk 4M`,
      'io write -P 0x46 1M 5k',
      'io write -z 2M 10k',
      'io discard 3M 6k',
    ],
  ]),
  ...Object.fromEntries(
    ['16k', '64k', '128k', '2M'].flatMap((size) =>
      ['zlib', 'zstd'].map((type) => [
        `extl2-${type}-${size}`,
        [
          `create -f qcow2 -o extended_l2=on,compression_type=${type},cluster_size=${size} disk 16M`,
          'io write -c -s text 0 2M',
          'io write -c -P 0x47 4M 4M',
          'io write -P 0x48 513k 3k',
          'io write -P 0x49 5M 1k',
          'io write -z 6M 64k',
          'io discard 7M 64k',
          'io write -P 0x4a 12M 100k',
        ],
      ]),
    ),
  ),
  'extl2-grown': [
    'create -f qcow2 -o extended_l2=on,cluster_size=16k disk 1000k',
    'io write -P 0x4b 0 1000k',
    'resize disk 20M',
    'io write -P 0x4c 19M 3k',
  ],
  'extl2-refcount-1': ['create -f qcow2 -o extended_l2=on,refcount_bits=1 disk 4M', 'io write -P 0x4d 1k 128k'],
  'extl2-lazy': ['create -f qcow2 -o extended_l2=on,lazy_refcounts=on disk 4M', 'io write -P 0x4e 1k 128k'],
};

/** Subclusters in each state in any mix, as writes of subclusters, zeros and discards leave them. */
export const SCATTERED: Recipes = Object.fromEntries(
  [16, 32, 64, 128, 256, 512, 1024, 2048].flatMap((clusterKiB, i) => {
    const clusterSize = clusterKiB * KiB;
    const size = Math.max(4 * MiB, 4 * clusterSize) + i * 512;
    const create = `create -f qcow2 -o extended_l2=on,cluster_size=${clusterKiB}k`;
    const some = { size, count: 60, unit: clusterSize / 32 };
    const base = (seed: number, unit = 2 * KiB) => scattered({ seed, size: 3 * MiB, unit, count: 30 });
    return [
      [`scattered-${clusterKiB}k`, [`${create} disk ${size}`, ...scattered({ ...some, seed: i })]],
      [
        `scattered-${clusterKiB}k-compressed`,
        [
          `${create},compression_type=${i % 2 ? 'zstd' : 'zlib'} disk ${size}`,
          ...scattered({ ...some, seed: 100 + i, compressed: clusterSize }),
        ],
      ],
      [
        `scattered-${clusterKiB}k-by-sectors`,
        [`${create} disk ${size}`, ...scattered({ ...some, seed: 200 + i, unit: 512, longest: 300 })],
      ],
      [
        `scattered-${clusterKiB}k-over-raw`,
        [
          `bytes base ${3 * MiB + 1000}`,
          `${create} -b base -F raw disk ${size}`,
          ...scattered({ ...some, seed: 300 + i }),
        ],
      ],
      [
        `scattered-${clusterKiB}k-over-qcow2`,
        [
          `create -f qcow2 -o cluster_size=${i % 2 ? '4k' : '256k'} base 3M`,
          ...base(400 + i),
          `${create} -b base -F qcow2 disk ${size}`,
          ...scattered({ ...some, seed: 500 + i }),
        ],
      ],
      [
        `scattered-${clusterKiB}k-over-scattered`,
        [
          `create -f qcow2 -o extended_l2=on,cluster_size=${clusterKiB < 256 ? '2M' : '16k'} base 3M`,
          ...base(600 + i, KiB),
          `${create} -b base -F qcow2 disk ${size}`,
          ...scattered({ ...some, seed: 700 + i, compressed: clusterSize }),
        ],
      ],
    ] as [string, Recipe][];
  }),
);

/** Where the header has its autoclear features' lowest byte. */
const AUTOCLEAR = 95;

/** Images with bitmaps, snapshots or bytes that are not the disk's. */
const ACCOMPANIED: Recipes = {
  bitmaps: [
    'create -f qcow2 disk 8M',
    'bitmap --add -g 512 disk fine',
    'bitmap --add -g 2M disk coarse',
    'bitmap --add --disable disk off',
    'io write -P 0x51 0 1M',
  ],
  'bitmaps-small-clusters': [
    'create -f qcow2 -o cluster_size=512 disk 8M',
    'bitmap --add -g 512 disk fine',
    'io write -P 0x52 0 1M',
    'bitmap --add -g 64k disk later',
  ],
  'bitmaps-cleared-and-removed': [
    'create -f qcow2 disk 8M',
    'bitmap --add disk kept',
    'bitmap --add disk gone',
    'io write -P 0x53 0 1M',
    'bitmap --clear disk kept',
    'bitmap --remove disk gone',
  ],
  'bitmaps-merged': [
    'create -f qcow2 disk 8M',
    'bitmap --add disk one',
    'io write -P 0x54 0 1M',
    'bitmap --add disk two',
    'bitmap --merge one disk two',
    'bitmap --disable disk one',
  ],
  'bitmaps-extl2': [
    'create -f qcow2 -o extended_l2=on disk 8M',
    'bitmap --add -g 4k disk fine',
    'io write -P 0x55 1k 130k',
  ],
  'bitmaps-zstd': [
    'create -f qcow2 -o compression_type=zstd disk 8M',
    'bitmap --add disk b',
    'io write -c -P 0x56 1M 1M',
  ],
  'bitmaps-resized': ['create -f qcow2 disk 8M', 'bitmap --add disk b', 'resize disk 80M', 'io write -P 0x57 70M 1M'],
  'bitmaps-and-snapshots': [
    'create -f qcow2 disk 8M',
    'io write -P 0x58 0 1M',
    'bitmap --add disk b',
    'snapshot -c s disk',
    'io write -P 0x59 512k 1M',
  ],
  'lazy-refcounts-and-snapshot': [
    'create -f qcow2 -o lazy_refcounts=on disk 4M',
    'io write -P 0x5c 0 128k',
    'snapshot -c first disk',
    'io write -P 0x5d 64k 64k',
  ],
  'bitmaps-stale': [
    'create -f qcow2 disk 8M',
    'bitmap --add disk b',
    'io write -P 0x5a 0 1M',
    `patch disk ${AUTOCLEAR} 00`,
  ],
  'foreign-bytes-behind': ['create -f qcow2 disk 4M', 'io write -P 0x5b 0 100k', 'append disk 300000'],
  'foreign-bytes-behind-extl2': [
    'create -f qcow2 -o extended_l2=on disk 4M',
    'io write -P 0x5c 2k 2k',
    'append disk 300001',
  ],
  'foreign-bytes-behind-compressed': ['convert -c -f raw -O qcow2 text disk', 'append disk 77'],
  'snapshots-many': [
    'create -f qcow2 -o cluster_size=4k disk 1M',
    ...Array.from({ length: 9 }, (_, i) => [`io write -P ${i + 1} ${i * 64}k 96k`, `snapshot -c at-${i} disk`]).flat(),
    'snapshot -d at-3 disk',
  ],
};

/** Recipes for what can meet in one file, to be held against `qemu-img` in every way. */
export const FEATURE_RECIPES: Recipes = { ...ZSTD, ...SUBCLUSTERS, ...ACCOMPANIED };

/** Images that have what a snapshot had then, and something else now. */
export const SNAPSHOT_DISKS: Recipes = {
  ...Object.fromEntries(
    ['2', '3'].flatMap((version) =>
      ['512', '4k', '64k', '2M'].map((clusters) => [
        `v${version}-${clusters}`,
        [
          `create -f qcow2 -o compat=${version === '2' ? '0.10' : '1.1'},cluster_size=${clusters} disk 5M`,
          'io write -P 0x11 100k 1M',
          'snapshot -c first disk',
          'io write -P 0x12 1000k 1M',
          'io write -c -P 0x13 2M 2M',
          'snapshot -c second disk',
          'io discard 0 3M',
          'io write -P 0x14 3M 500k',
        ],
      ]),
    ),
  ),
  ...entries(['12M', '3M', '512', '5120512'], (size) => [
    `resized-to-${size}`,
    [
      'create -f qcow2 -o cluster_size=4k disk 5M',
      'io write -P 0x21 1M 3500k',
      'snapshot -c first disk',
      `resize --shrink disk ${size}`,
      'io write -P 0x22 0 512',
      'snapshot -c second disk',
    ],
  ]),
  'grown-past-l1': [
    'create -f qcow2 -o cluster_size=512 disk 64k',
    'io write -P 0x23 0 64k',
    'snapshot -c first disk',
    'resize disk 9M',
    'io write -P 0x24 30k 8M',
    'snapshot -c second disk',
  ],
  'shrunk-past-l1': [
    'create -f qcow2 -o cluster_size=512 disk 9M',
    'io write -P 0x25 30k 8M',
    'snapshot -c first disk',
    'resize --shrink disk 64k',
    'io write -P 0x26 0 32k',
    'snapshot -c second disk',
  ],
  ...entries(['9M', '2M'], (size) => [
    `resized-to-${size}-with-vm-state`,
    [
      'create -f qcow2 -o cluster_size=4k disk 3M',
      'io write -P 0x27 0 3M',
      'io write -b -P 0x28 0 256k',
      'snapshot -c first disk',
      `resize --shrink disk ${size}`,
      'io write -P 0x29 1M 64k',
      'snapshot -c second disk',
    ],
  ]),
  ...Object.fromEntries(
    ['zlib', 'zstd'].flatMap((type) =>
      ['off', 'on'].map((extended) => [
        `compressed-${type}-extl2-${extended}`,
        [
          `create -f qcow2 -o compression_type=${type},extended_l2=${extended} disk 4M`,
          'io write -c -s text 0 1M',
          'snapshot -c first disk',
          'io write -c -P 0x31 2M 1M',
          'io write -P 0x32 200k 3k',
          'snapshot -c second disk',
          'io write -P 0x33 0 4M',
        ],
      ]),
    ),
  ),
  ...entries(['16k', '64k', '2M'], (clusters) => [
    `extl2-scattered-${clusters}`,
    [
      `create -f qcow2 -o extended_l2=on,cluster_size=${clusters} disk 4M`,
      ...scattered({ seed: clusters.length, size: 4 * MiB, unit: 512, count: 30, longest: 300 }),
      'snapshot -c first disk',
      ...scattered({ seed: 20 + clusters.length, size: 4 * MiB, unit: 2048, count: 30 }),
      'snapshot -c second disk',
      ...scattered({ seed: 30 + clusters.length, size: 4 * MiB, unit: 2048, count: 30 }),
    ],
  ]),
  'extl2-resized': [
    'create -f qcow2 -o extended_l2=on,cluster_size=16k disk 3M',
    'io write -P 0x41 1M 2047k',
    'snapshot -c first disk',
    'resize disk 30M',
    'io write -P 0x42 20M 5k',
    'snapshot -c second disk',
  ],
  ...Object.fromEntries(
    [
      ['raw', 'bytes base 3000000'],
      ['qcow2', 'convert -c -f raw -O qcow2 text base'],
    ].flatMap(([format, base]) =>
      ['off', 'on'].map((extended) => [
        `over-${format}-extl2-${extended}`,
        [
          base as string,
          `create -f qcow2 -o extended_l2=${extended} -b base -F ${format} disk 4M`,
          'io write -P 0x51 300k 100k',
          'snapshot -c first disk',
          'io write -P 0x52 350k 1M',
          'io discard 300k 64k',
          'snapshot -c second disk',
          'io write -z 0 3M',
        ],
      ]),
    ),
  ),
  'over-raw-grown': [
    'bytes base 3000000',
    'create -f qcow2 -b base -F raw disk 2M',
    'io write -P 0x53 300k 100k',
    'snapshot -c first disk',
    'resize disk 6M',
    'io write -P 0x54 5M 100k',
    'snapshot -c second disk',
  ],
  'that-had-bitmaps': [
    'create -f qcow2 disk 4M',
    'bitmap --add disk b',
    'io write -P 0x61 0 1M',
    'snapshot -c first disk',
    'io write -P 0x62 512k 1M',
    'snapshot -c second disk',
    // QEMU goes back to no snapshot while there are bitmaps.
    'bitmap --remove disk b',
  ],
  'of-0-bytes': ['create -f qcow2 disk 0', 'snapshot -c first disk', 'snapshot -c second disk'],
  'of-0-bytes-grown': [
    'create -f qcow2 disk 0',
    'snapshot -c first disk',
    'resize disk 1M',
    'io write -P 0x63 0 1M',
    'snapshot -c second disk',
  ],
  preallocated: [
    'create -f qcow2 -o preallocation=metadata disk 4M',
    'io write -P 0x64 0 1M',
    'snapshot -c first disk',
    'io write -z 0 64k',
    'snapshot -c second disk',
  ],
};

interface Link {
  readonly format: 'raw' | 'qcow2';
  readonly size: number;
  readonly options: string;
  readonly clusterSize: number;
}

/** A chain of two to four files of any kind that differ in everything. */
function chance(seed: number): Recipe {
  const roll = dice(seed * 7919);
  const pick = <T>(values: readonly T[]) => values[roll(values.length)] as T;
  const depth = 2 + roll(3);
  const links = Array.from({ length: depth }, (_, i): Link => {
    if (i === 0 && roll(2) === 0)
      return {
        format: 'raw',
        size: pick([513, 1000, 65_537, MiB, 3 * MiB - 1, 5 * MiB]),
        options: '',
        clusterSize: 512,
      };
    const extended = roll(3) === 0;
    const clusterSize = pick(extended ? [16, 64, 512, 2048] : [0.5, 4, 64, 256, 2048]) * KiB;
    const version2 = !extended && roll(6) === 0;
    const features = version2
      ? 'compat=0.10'
      : `compression_type=${pick(['zlib', 'zstd'])},extended_l2=${extended ? 'on' : 'off'}`;
    const size = pick([512, 65_536 + 512, MiB, 2 * MiB, 3 * MiB - 1536, 5 * MiB]);
    return { format: 'qcow2', size, options: `-o cluster_size=${clusterSize},${features}`, clusterSize };
  });
  return links.flatMap(({ format, size, options, clusterSize }, i) => {
    const name = i === depth - 1 ? 'disk' : `layer${i}`;
    if (format === 'raw') return [`bytes ${name} ${size}`];
    const backing = i === 0 ? '' : ` -b layer${i - 1} -F ${(links[i - 1] as Link).format}`;
    const unit = pick([512, 2048, 65_536]);
    const writes = { seed: seed * 10 + i, size, unit: Math.min(unit, size), count: 12, longest: 1 + MiB / 2 / unit };
    return [
      `create -f qcow2 ${options}${backing} ${name} ${size}`,
      ...scattered({ ...writes, ...(roll(2) === 0 ? { compressed: clusterSize } : {}) }),
    ];
  });
}

/** Images that lie in more than one file. */
export const CHAINS: Recipes = {
  ...entries([513, 1000, 512, 65_536, 1_000_001, 9_000_000], (size) => [
    `raw-of-${size}`,
    [`bytes base ${size}`, 'create -f qcow2 -b base -F raw disk 4M', 'io write -P 0x11 100k 70k'],
  ]),
  'raw-empty': ['bytes base 0', 'create -f qcow2 -b base -F raw disk 4M', 'io write -P 0x11 100k 70k'],
  'raw-under-nothing': ['bytes base 1000000', 'create -f qcow2 -b base -F raw disk 2M'],
  'raw-under-all': ['bytes base 1000000', 'create -f qcow2 -b base -F raw disk 1M', 'io write -P 0x12 0 1M'],
  'raw-under-an-odd-size': ['bytes base 1000', 'create -f qcow2 -b base -F raw disk 1024'],
  'raw-that-is-a-qcow2': [
    'create -f qcow2 base 1M',
    'io write -P 0x13 0 64k',
    'create -f qcow2 -b base -F raw disk 1M',
    'io write -P 0x14 64k 64k',
  ],
  'qcow2-shorter': [
    'create -f qcow2 base 1001472',
    'io write -s text 0 1001472',
    'create -f qcow2 -b base -F qcow2 disk 3M',
    'io write -P 0x15 100k 70k',
  ],
  'qcow2-longer': [
    'create -f qcow2 base 3M',
    'io write -s text 1500k 1M',
    'create -f qcow2 -b base -F qcow2 disk 1999872',
    'io write -P 0x16 100k 70k',
  ],
  'qcow2-of-513': ['create -f qcow2 base 513', 'io write -P 0x17 0 512', 'create -f qcow2 -b base -F qcow2 disk 1M'],
  'qcow2-of-0': ['create -f qcow2 base 0', 'create -f qcow2 -b base -F qcow2 disk 1M', 'io write -P 1 0 1k'],
  'overlay-of-0': ['bytes base 1000', 'create -f qcow2 -b base -F raw disk 0'],
  ...Object.fromEntries(
    [
      ['512', '2M'],
      ['2M', '512'],
      ['4k', '64k'],
      ['64k', '4k'],
    ].map(([above, below]) => [
      `clusters-${above}-over-${below}`,
      [
        `create -f qcow2 -o cluster_size=${below} base 5M`,
        ...scattered({ seed: 1, size: 5 * MiB, unit: 512, count: 20, longest: 500 }),
        `create -f qcow2 -o cluster_size=${above} -b base -F qcow2 disk 6M`,
        ...scattered({ seed: 2, size: 6 * MiB, unit: 512, count: 20, longest: 500 }),
      ],
    ]),
  ),
  ...entries(['zlib', 'zstd'], (type) => [
    `over-compressed-${type}`,
    [
      `convert -c -f raw -O qcow2 -o compression_type=${type} text base`,
      'create -f qcow2 -o cluster_size=4k -b base -F qcow2 disk 2M',
      'io write -P 0x18 70k 3k',
      'io write -c -P 0x19 512k 64k',
      'io write -z 600k 100k',
    ],
  ]),
  ...entries(['0.10', '1.1'], (compat) => [
    `zeros-and-discards-over-data-${compat}`,
    [
      `create -f qcow2 -o compat=${compat} base 4M`,
      'io write -s text 0 4M',
      `create -f qcow2 -o compat=${compat} -b base -F qcow2 disk 4M`,
      'io write -P 0x1a 512k 1M',
      'io write -z 0 512k',
      'io write -zu 600k 128k',
      'io discard 1M 128k',
      'io discard 2M 1M',
    ],
  ]),
  'over-version-1': [
    'create -f qcow base 3M',
    'io write -P 0x61 0 100k',
    'io write -P 0x62 2M 512k',
    'create -f qcow2 -b base -F qcow disk 4M',
    'io write -P 0x63 64k 64k',
  ],
  'version-1-in-the-middle': [
    'bytes base 1000001',
    'create -f qcow -b base -F raw middle 2M',
    'io write -P 0x71 700k 3k',
    'io write -P 0x72 1500k 100',
    'create -f qcow2 -o cluster_size=8k -b middle -F qcow disk 3000320',
    'io write -P 0x73 900k 100k',
    'io write -z 1490k 20k',
    'io write -c -P 0x74 0 8k',
  ],
  'version-1-over-qcow2-in-the-middle': [
    'create -f qcow2 -o cluster_size=128k base.qcow2 2200064',
    'io write -s text 0 1M',
    'io write -P 0x75 2M 100k',
    'create -f qcow -b base.qcow2 -F qcow2 middle 3M',
    'io write -P 0x76 700k 3k',
    'create -f qcow2 -o extended_l2=on -b middle -F qcow disk 2M',
    'io write -P 0x77 710k 3k',
    'io write -z 720k 6k',
  ],
  'version-1-twice-below': [
    'create -f qcow base.qcow 1500160',
    'io write -c -P 0x78 8k 4k',
    'io write -P 0x79 1M 400k',
    'create -f qcow -b base.qcow -F qcow middle 2M',
    'io write -P 0x7a 5k 100',
    'create -f qcow2 -o cluster_size=2M,compression_type=zstd -b middle -F qcow disk 5M',
    'io write -c -P 0x7b 2M 2M',
  ],
  'extl2-zstd-over-compressed': [
    'convert -c -f raw -O qcow2 text base',
    'create -f qcow2 -o extended_l2=on,compression_type=zstd -b base -F qcow2 disk 2M',
    'io write -c -P 0x64 64k 64k',
    'io write -P 0x65 200k 3k',
    'io write -z 300k 5k',
    'io discard 512k 64k',
  ],
  'snapshot-and-lazy-refcounts-over-zstd': [
    'convert -c -f raw -O qcow2 -o compression_type=zstd text base',
    'create -f qcow2 -o lazy_refcounts=on -b base -F qcow2 disk 2M',
    'io write -P 0x66 100k 100k',
    'snapshot -c first disk',
    'io write -P 0x67 150k 100k',
    'io write -c -P 0x68 512k 64k',
  ],
  'zeros-below': [
    'create -f qcow2 base 4M',
    'io write -s text 0 4M',
    'create -f qcow2 -b base -F qcow2 middle 4M',
    'io write -z 1M 2M',
    'create -f qcow2 -b middle -F qcow2 disk 5M',
    'io write -P 0x1b 2M 64k',
  ],
  'shorter-in-the-middle': [
    'bytes base 4000000',
    'create -f qcow2 -b base -F raw middle 1M',
    'io write -P 0x1c 64k 64k',
    'create -f qcow2 -b middle -F qcow2 disk 4M',
    'io write -P 0x1d 2M 64k',
  ],
  'shorter-twice-in-the-middle': [
    'bytes base 4000000',
    'create -f qcow2 -b base -F raw low 512k',
    'create -f qcow2 -b low -F qcow2 high 2M',
    'create -f qcow2 -b high -F qcow2 disk 4M',
  ],
  'many-tables-in-each': [
    'create -f qcow2 -o cluster_size=512 base 70M',
    ...[0, 1, 63, 64, 65, 69].map((at) => `io write -P ${at + 1} ${at}M 100k`),
    'create -f qcow2 -o cluster_size=4k -b base -F qcow2 disk 72M',
    ...[1, 64, 66, 71].map((at) => `io write -P ${at + 30} ${at}M 50k`),
  ],
  'preallocated-over-data': [
    `bytes base ${MiB}`,
    'create -f qcow2 -b base -F raw disk 4M',
    'io write -z 0 512k',
    'resize --preallocation=metadata disk 8M',
  ],
  'extl2-preallocated-over-data': [
    `bytes base ${MiB}`,
    'create -f qcow2 -o extended_l2=on,preallocation=metadata -b base -F raw disk 4M',
    'io write -P 0x1e 1k 1k',
  ],
  'committed-in-the-middle': [
    'create -f qcow2 base 2M',
    'io write -s text 0 1M',
    'create -f qcow2 -o cluster_size=4k -b base -F qcow2 middle 2M',
    'io write -P 0x26 500k 1M',
    'io write -z 100k 20k',
    'commit -q -f qcow2 middle',
    'create -f qcow2 -b middle -F qcow2 disk 3M',
    'io write -P 0x27 1400k 300k',
  ],
  rebased: [
    `bytes base ${MiB}`,
    'create -f qcow2 -b base -F raw middle 2M',
    'io write -P 0x1f 64k 64k',
    'create -f qcow2 -b middle -F qcow2 disk 2M',
    'io write -P 0x20 100k 500k',
    'rebase -b base -F raw -f qcow2 disk',
  ],
  'snapshots-and-bitmaps-in-each': [
    'create -f qcow2 base 2M',
    'bitmap --add base b',
    'io write -P 0x21 0 1M',
    'snapshot -c s base',
    'io write -P 0x22 512k 1M',
    'create -f qcow2 -b base -F qcow2 disk 2M',
    'bitmap --add disk b',
    'io write -P 0x23 0 100k',
    'snapshot -c s disk',
  ],
  'foreign-bytes-behind-each': [
    'create -f qcow2 base 2M',
    'io write -P 0x24 0 100k',
    'append base 5000',
    'create -f qcow2 -b base -F qcow2 disk 2M',
    'io write -P 0x25 1M 100k',
    'append disk 5001',
  ],
  ...Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`chance-${i + 1}`, chance(i + 1)])),
};

/** Version 1 images that others back: they state no format, so that the caller has to. */
export const VERSION_1_OVERLAYS: Recipes = {
  'over-raw': ['bytes base 777777', 'create -f qcow -b base -F raw disk 3M', 'io write -P 0x41 1000k 3k'],
  'over-qcow2': [
    'create -f qcow2 -o cluster_size=128k base.qcow2 2200064',
    'io write -s text 0 1M',
    'create -f qcow -b base.qcow2 -F qcow2 disk 3M',
    'io write -P 0x42 700k 3k',
    'io write -P 0x43 2500k 100',
  ],
  'over-qcow2-over-version-1': [
    'create -f qcow base 1500160',
    'io write -P 0x44 100k 300k',
    'io write -s noise 1M 400k',
    'create -f qcow2 -o extended_l2=on -b base -F qcow middle.qcow2 1200128',
    'io write -P 0x45 110k 3k',
    'io write -z 150k 6k',
    'create -f qcow -b middle.qcow2 -F qcow2 disk 2M',
    'io write -P 0x46 120k 3k',
    'io write -P 0x47 1900k 100',
  ],
};

/** Images whose clusters lie in another file. */
export const DATA_FILES: Recipes = {
  ...Object.fromEntries(
    ['off', 'on'].flatMap((raw) => [
      ...['512', '4k', '64k', '2M'].map((clusters) => [
        `raw-${raw}-${clusters}`,
        [
          `create -f qcow2 -o data_file=data,data_file_raw=${raw},cluster_size=${clusters} disk 8M`,
          'io write -s text 0 100k',
          'io write -P 0x11 3M 1M',
          'io write -z 3500k 200k',
          'io discard 3M 200k',
          'io write -P 0x12 7M 1M',
        ],
      ]),
      [
        `raw-${raw}-extl2`,
        [
          `create -f qcow2 -o data_file=data,data_file_raw=${raw},extended_l2=on disk 8M`,
          ...scattered({ seed: 9, size: 8 * MiB, unit: 1024, count: 60 }),
        ],
      ],
      [`raw-${raw}-empty`, [`create -f qcow2 -o data_file=data,data_file_raw=${raw} disk 8M`]],
      [
        `raw-${raw}-grown`,
        [
          `create -f qcow2 -o data_file=data,data_file_raw=${raw} disk 1M`,
          'io write -P 0x13 0 1M',
          'resize disk 3M',
          'io write -P 0x14 2M 64k',
        ],
      ],
    ]),
  ),
  'first-cluster-only': ['create -f qcow2 -o data_file=data disk 8M', 'io write -P 0x15 0 1k'],
  'all-but-the-first-cluster': ['create -f qcow2 -o data_file=data disk 8M', 'io write -P 0x16 64k 8128k'],
  'odd-size': ['create -f qcow2 -o data_file=data disk 66048', 'io write -P 0x17 0 66048'],
  preallocated: ['create -f qcow2 -o data_file=data,preallocation=metadata disk 4M', 'io write -P 0x18 1M 64k'],
  'over-raw': [
    'bytes base 3000000',
    'create -f qcow2 -o data_file=data -b base -F raw disk 4M',
    'io write -P 0x19 0 100k',
    'io write -z 1M 100k',
    'io write -P 0x1a 3500k 10k',
  ],
  'over-compressed': [
    'convert -c -f raw -O qcow2 -o compression_type=zstd text base',
    'create -f qcow2 -o data_file=data,extended_l2=on -b base -F qcow2 disk 2M',
    ...scattered({ seed: 10, size: 2 * MiB, unit: 1024, count: 40 }),
  ],
  'under-an-overlay': [
    'create -f qcow2 -o data_file=data base 4M',
    'io write -P 0x1b 0 2M',
    'create -f qcow2 -b base -F qcow2 disk 4M',
    'io write -P 0x1c 1M 64k',
    'io discard 1M 64k',
  ],
  'in-each-of-a-chain': [
    'create -f qcow2 -o data_file=data0,data_file_raw=on base 4M',
    'io write -P 0x1d 0 2M',
    'create -f qcow2 -o data_file=data1,cluster_size=4k -b base -F qcow2 disk 5M',
    'io write -P 0x1e 1M 64k',
    'io write -P 0x1f 4500k 64k',
  ],
  'raw-and-shrunk': [
    'create -f qcow2 -o data_file=data,data_file_raw=on disk 4M',
    'io write -P 0x21 0 4M',
    'resize --shrink disk 1M',
    'io write -z 512k 64k',
  ],
  'with-bitmaps': ['create -f qcow2 -o data_file=data disk 4M', 'bitmap --add disk b', 'io write -P 0x20 0 100k'],
};
