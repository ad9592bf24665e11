/**
 * Images that the reference tool makes: each a list of commands, run in an empty folder.
 *
 * `create`, `convert`, `resize` and `snapshot` are `qemu-img`'s; `io` is a command of `qemu-io` on the file that was
 * created last. The image is the file `disk`. `noise` is 1 MiB of bytes that do not compress, the same in every run.
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
