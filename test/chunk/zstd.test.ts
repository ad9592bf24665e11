import { readFile } from 'node:fs/promises';
import { constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unzstdCluster } from '../../lib/chunk/zstd.ts';
import { findFrame } from '../../lib/chunk/zstd-frame.ts';
import { UnqcowError } from '../../lib/errors.ts';
import { compressedImage, imageBytes, padded } from '../support/hostile.ts';
import { noise } from '../support/qemu.ts';
import { useQemu } from '../support/use-qemu.ts';

const CLUSTER = 4096;
const TEXT = Buffer.from(noise(CLUSTER / 2).toString('hex'));
const [LEFT, RIGHT] = [TEXT.subarray(0, 1000), TEXT.subarray(1000)];
/** Compresses to sequences, not to literals alone: the usual stream of a disk. */
const REPEATS = Buffer.concat([TEXT.subarray(0, 1500), TEXT.subarray(100)], CLUSTER);
/** Compresses to literals alone. */
const LITERALS = Buffer.from(noise((CLUSTER / 4) * 3).toString('base64'));

interface FrameFlags {
  readonly checksum?: boolean;
  readonly contentSize?: boolean;
}

const zstd = (bytes: Uint8Array, { checksum = false, contentSize = true }: FrameFlags = {}) =>
  zstdCompressSync(bytes, {
    params: {
      [constants.ZSTD_c_checksumFlag]: Number(checksum),
      [constants.ZSTD_c_contentSizeFlag]: Number(contentSize),
    },
  });

const little = (value: number, length: number) => {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntLE(value, 0, length);
  return bytes;
};

/** A skippable frame of `length` bytes, and the length that it says it has. */
const skippable = (length: number, says = length, kind = 0) =>
  Buffer.concat([little(0x184d2a50 + kind, 4), little(says, 4), Buffer.alloc(length, 7)]);

interface FrameSpec {
  /** The window descriptor; without it the frame is a single segment. */
  readonly window?: number;
  readonly contentSize?: number;
  readonly dictionary?: number;
  readonly reserved?: boolean;
}

/** A frame made field by field: content size and dictionary id are stored in four bytes each. */
function frame({ window, contentSize, dictionary, reserved }: FrameSpec, ...blocks: Uint8Array[]): Buffer {
  const flags =
    (contentSize === undefined ? 0 : 0x80) +
    (window === undefined ? 0x20 : 0) +
    (reserved ? 8 : 0) +
    (dictionary === undefined ? 0 : 3);
  return Buffer.concat([
    little(0xfd2fb528, 4),
    little(flags, 1),
    window === undefined ? Buffer.alloc(0) : little(window, 1),
    dictionary === undefined ? Buffer.alloc(0) : little(dictionary, 4),
    contentSize === undefined ? Buffer.alloc(0) : little(contentSize, 4),
    ...blocks,
  ]);
}

const block = (type: number, size: number, bytes: Uint8Array, last = true) =>
  Buffer.concat([little(size * 8 + type * 2 + Number(last), 3), bytes]);
const stored = (bytes: Uint8Array, last = true) => block(0, bytes.length, bytes, last);
const run = (length: number, last = true) => block(1, length, Buffer.from('a'), last);

/** A window descriptor's value for 2^log bytes, and so many eighths more. */
const windowOf = (log: number, eighths = 0) => (log - 10) * 8 + eighths;
const WINDOW_64K = windowOf(16);

/** One byte differs: the one at `at`, or so far from the end if that is negative. */
const damaged = (bytes: Uint8Array, at: number) => Buffer.from(bytes.with(at, (bytes.at(at) ?? 0) ^ 0x55));
const zeroed = (bytes: Uint8Array, length: number) => Buffer.from(bytes).fill(0, bytes.length - length);
const EMPTY = zstd(Buffer.alloc(0));
/** A content size of 0 in one byte, and a last block of nothing. */
const EMPTY_BODY = Buffer.concat([Buffer.alloc(1), stored(Buffer.alloc(0))]);

const unzstd = async (stream: Uint8Array, clusterSize = CLUSTER) =>
  Buffer.from(await unzstdCluster(stream, clusterSize, 'disk[0]'));

const whole = (name: string, stream: Uint8Array, bytes = TEXT) => [name, stream, bytes] as const;

/** Streams that are one cluster. */
const WHOLE = [
  whole('one frame', zstd(TEXT)),
  whole('a frame of sequences', zstd(REPEATS), REPEATS),
  whole('a frame that does not say its size', zstd(TEXT, { contentSize: false })),
  whole('a frame with a checksum', zstd(TEXT, { checksum: true })),
  whole('a frame, then noise', Buffer.concat([zstd(TEXT), noise(700)])),
  whole('a frame, then the next cluster’s', Buffer.concat([zstd(TEXT), zstd(REPEATS)])),
  whole('a frame, then the next cluster’s start', Buffer.concat([zstd(TEXT), zstd(TEXT).subarray(0, 700)])),
  whole('a frame, then a damaged one', Buffer.concat([zstd(TEXT), damaged(zstd(TEXT), 20)])),
  whole('two frames', Buffer.concat([zstd(LEFT), zstd(RIGHT)])),
  whole(
    'two frames that do not say their sizes',
    Buffer.concat([zstd(LEFT, { contentSize: false }), zstd(RIGHT, { contentSize: false })]),
  ),
  whole('two frames with checksums', Buffer.concat([zstd(LEFT, { checksum: true }), zstd(RIGHT, { checksum: true })])),
  whole('a skippable frame first', Buffer.concat([skippable(10), zstd(TEXT)])),
  whole('skippable frames first', Buffer.concat([skippable(0), skippable(1, 1, 15), skippable(300), zstd(TEXT)])),
  whole('a skippable frame between', Buffer.concat([zstd(LEFT), skippable(10, 10, 7), zstd(RIGHT)])),
  whole('a skippable frame after, longer than the stream', Buffer.concat([zstd(TEXT), skippable(10, 1_000_000)])),
  whole('empty frames between', Buffer.concat([EMPTY, zstd(LEFT), EMPTY, EMPTY, zstd(RIGHT)])),
  whole('an empty compressed block', Buffer.concat([frame({ window: 0 }, block(2, 2, Buffer.alloc(2))), zstd(TEXT)])),
  whole('a stored block', frame({ contentSize: CLUSTER }, stored(TEXT))),
  whole('stored blocks', frame({ window: WINDOW_64K }, stored(LEFT, false), stored(RIGHT))),
  whole('a run', frame({ contentSize: CLUSTER }, run(CLUSTER)), Buffer.alloc(CLUSTER, 'a')),
  whole(
    'a run, a stored block',
    frame({ window: WINDOW_64K }, run(1000, false), stored(RIGHT)),
    Buffer.concat([Buffer.alloc(LEFT.length, 'a'), RIGHT]),
  ),
  whole('an empty last block', frame({ window: WINDOW_64K }, stored(TEXT, false), stored(Buffer.alloc(0)))),
  whole('dictionary 0, which is none', frame({ contentSize: CLUSTER, dictionary: 0 }, stored(TEXT))),
  whole('a window of 2^27', frame({ window: windowOf(27) }, stored(TEXT))),
  // libzstd makes no window for a frame that lies there whole and says that it fits: QEMU reads it.
  whole('a window of 2^28 that is not needed', frame({ window: windowOf(28), contentSize: CLUSTER }, stored(TEXT))),
];

/** Streams that hold less than a cluster. */
const SHORT: readonly (readonly [string, Uint8Array])[] = [
  ['a frame of 4095 bytes', zstd(TEXT.subarray(1))],
  ['a frame of 4095 bytes, then noise', Buffer.concat([zstd(TEXT.subarray(1)), noise(99)])],
  ['a frame of 4095 bytes, then a skippable one', Buffer.concat([zstd(TEXT.subarray(1)), skippable(600)])],
  ['an empty frame', EMPTY],
  ['an empty frame, then zeros', Buffer.concat([EMPTY, Buffer.alloc(100)])],
  ['two frames of 4095 bytes', Buffer.concat([zstd(LEFT), zstd(RIGHT.subarray(1))])],
  ['a frame cut in the middle', zstd(TEXT).subarray(0, 1024)],
  ['a frame cut in its header', zstd(TEXT).subarray(0, 6)],
  ['a second frame cut in the middle', Buffer.concat([zstd(LEFT), zstd(RIGHT).subarray(0, 1000)])],
  ['a frame without its checksum', zstd(REPEATS, { checksum: true }).subarray(0, -4)],
  ['a full cluster without a last block', frame({ window: WINDOW_64K }, stored(TEXT, false))],
  ['a frame whose end is zeros', zeroed(zstd(REPEATS), 2)],
  ['a frame whose second half is zeros', zeroed(zstd(TEXT), 1100)],
];

/** Streams that are not valid. */
const DAMAGED: readonly (readonly [string, Uint8Array])[] = [
  ['zeros', Buffer.alloc(512)],
  ['noise', noise(512)],
  ['a zlib header', deflateSync(TEXT)],
  ['a gzip header', gzipSync(TEXT)],
  ['a frame without its magic number', zstd(TEXT).subarray(4)],
  ['a damaged frame', damaged(zstd(TEXT), 20)],
  ['a damaged frame of literals, which ends in a 0', damaged(zstd(LITERALS), 21)],
  ['a wrong checksum', damaged(zstd(TEXT, { checksum: true }), -1)],
  ['a checksum of zero', zeroed(zstd(TEXT, { checksum: true }), 4)],
  ['a second frame’s wrong checksum', Buffer.concat([zstd(LEFT), damaged(zstd(RIGHT, { checksum: true }), -1)])],
  [
    'an empty frame’s wrong checksum',
    Buffer.concat([damaged(zstd(Buffer.alloc(0), { checksum: true }), -1), zstd(TEXT)]),
  ],
  ['4097 bytes', zstd(Buffer.concat([TEXT, noise(1)]))],
  ['4097 bytes that do not say so', zstd(Buffer.concat([TEXT, noise(1)]), { contentSize: false })],
  ['a second frame that overflows', Buffer.concat([zstd(LEFT), zstd(TEXT)])],
  ['a full cluster, then a run of 1', frame({ window: WINDOW_64K }, stored(TEXT, false), run(1))],
  ['64 MiB of zeros', zstd(Buffer.alloc(64 << 20))],
  ['64 MiB of zeros that do not say so', zstd(Buffer.alloc(64 << 20), { contentSize: false })],
  ['the start of 64 MiB of zeros', zstd(Buffer.alloc(64 << 20)).subarray(0, 900)],
  ['a skippable frame longer than the stream', Buffer.concat([skippable(10, 1_000_000), zstd(TEXT)])],
  ['a skippable frame of 2^32 − 1 bytes', Buffer.concat([skippable(10, 0xffffffff), zstd(TEXT)])],
  ['a skippable frame and nothing else', skippable(504)],
  ['a skippable frame, then zeros', skippable(20)],
  ['a block of a type that does not exist', frame({ contentSize: CLUSTER }, block(3, 99, noise(99)))],
  ['the reserved bit', frame({ contentSize: CLUSTER, reserved: true }, stored(TEXT))],
  ['a content size that is too large', frame({ contentSize: CLUSTER + 1 }, stored(TEXT))],
  ['a content size that is too small', frame({ contentSize: CLUSTER - 1 }, stored(TEXT))],
  ['a block larger than the window', frame({ window: 0 }, stored(TEXT))],
  ['a dictionary', frame({ contentSize: CLUSTER, dictionary: 7 }, stored(TEXT))],
  ['a window over 2^27', frame({ window: windowOf(27, 1) }, stored(TEXT))],
  ['a window of 2^28, cut', frame({ window: windowOf(28), contentSize: CLUSTER }, stored(TEXT)).subarray(0, 600)],
  ['a window of 2^41', frame({ window: windowOf(41), contentSize: CLUSTER }, stored(TEXT))],
];

describe('decompressing a zstd cluster', () => {
  it.each([512, 4096, 65_536, 2 ** 21])('gives exactly the %i bytes that were compressed', async (size) => {
    const bytes = Buffer.alloc(size, TEXT);
    expect(await unzstd(zstd(bytes), size)).toEqual(bytes);
    expect(await unzstd(padded(zstd(noise(size)), 512), size)).toEqual(noise(size));
  });

  it.each(WHOLE)('reads %s', async (_, stream, bytes) => {
    expect(await unzstd(stream)).toEqual(bytes);
    expect(await unzstd(padded(stream, 512))).toEqual(bytes);
  });

  it.each([...SHORT, ['an empty stream', Buffer.alloc(0)] as const])(
    'refuses %s: DECOMPRESS_SHORT',
    async (_, stream) => {
      await expect(unzstd(stream)).rejects.toMatchObject({ code: 'DECOMPRESS_SHORT', at: 'disk[0]' });
    },
  );

  it.each(DAMAGED)('refuses %s: DECOMPRESS_FAILED', async (_, stream) => {
    await expect(unzstd(stream)).rejects.toMatchObject({ code: 'DECOMPRESS_FAILED', at: 'disk[0]' });
  });

  it('stops after one cluster of a bomb, in little memory', async () => {
    const bomb = zstd(Buffer.alloc(256 << 20), { contentSize: false });
    const before = process.memoryUsage();
    await expect(unzstd(bomb)).rejects.toMatchObject({ code: 'DECOMPRESS_FAILED' });
    await expect(unzstd(Buffer.concat([zstd(LEFT), bomb]))).rejects.toMatchObject({ code: 'DECOMPRESS_FAILED' });
    const { arrayBuffers, external } = process.memoryUsage();
    expect(arrayBuffers + external - before.arrayBuffers - before.external).toBeLessThan(8 << 20);
  });

  it('takes time in proportion to the number of frames, and lets others have their turn', async () => {
    const one = Buffer.from('a');
    const cpu = async (count: number) => {
      const frames = Array.from({ length: count }, () => [EMPTY, skippable(0), zstd(one)]).flat();
      const stream = Buffer.concat([...frames, zstd(Buffer.alloc(65_536 - count, 'a'))]);
      const before = process.cpuUsage();
      let turns = 0;
      const others = setInterval(() => {
        turns += 1;
      }, 1);
      expect(await unzstd(stream, 65_536)).toEqual(Buffer.alloc(65_536, 'a'));
      clearInterval(others);
      expect(turns).toBeGreaterThan(0);
      return process.cpuUsage(before).user;
    };
    await cpu(1000);
    const few = await cpu(1000);
    expect((await cpu(8000)) / few).toBeLessThan(24);
  });

  it('takes next to no time for skippable frames, however many', async () => {
    const stream = Buffer.concat([Buffer.alloc(3 << 20, skippable(0)), zstd(TEXT)]);
    expect(await unzstd(stream)).toEqual(TEXT);
  });

  it('leaves the stream as it was', async () => {
    const stream = Buffer.concat([zstd(LEFT), zstd(TEXT)]);
    const before = Buffer.from(stream);
    await unzstd(stream).catch(() => undefined);
    expect(stream).toEqual(before);
  });

  it('gives the cluster, whatever frames it is split into', async () => {
    const piece = fc.record({
      length: fc.nat(600),
      checksum: fc.boolean(),
      contentSize: fc.boolean(),
      skip: fc.option(fc.nat(20)),
    });
    const check = async (
      pieces: readonly (FrameFlags & { length: number; skip: number | null })[],
      tail: Uint8Array,
    ) => {
      const parts: Uint8Array[] = [];
      let at = 0;
      for (const { length, skip, ...flags } of pieces) {
        if (skip !== null) parts.push(skippable(skip));
        if (at < CLUSTER) parts.push(zstd(REPEATS.subarray(at, at + length), flags));
        at += length;
      }
      if (at < CLUSTER) parts.push(zstd(REPEATS.subarray(at)));
      expect(await unzstd(Buffer.concat([...parts, tail]))).toEqual(REPEATS);
    };
    const tail = fc.uint8Array({ maxLength: 40 });
    await fc.assert(fc.asyncProperty(fc.array(piece, { maxLength: 12 }), tail, check), { numRuns: 150 });
  });

  it('gives a cluster or one of those two refusals, whatever the bytes', async () => {
    const streams = [
      zstd(TEXT),
      zstd(REPEATS, { checksum: true }),
      Buffer.concat([zstd(LEFT), skippable(3), zstd(RIGHT)]),
    ];
    const start = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.concat([zstd(TEXT).subarray(0, 4), bytes]));
    const broken = fc
      .tuple(fc.constantFrom(...streams), fc.oneof(fc.nat(12), fc.nat(4000)), fc.nat(255), fc.nat(3000))
      .map(([stream, at, value, end]) => {
        const copy = Buffer.from(stream);
        copy[at % copy.length] = value;
        return end % 2 ? copy : copy.subarray(0, end);
      });
    const check = async (stream: Uint8Array) => {
      const outcome = await unzstd(stream).catch((error) => error);
      if (Buffer.isBuffer(outcome)) expect(outcome).toHaveLength(CLUSTER);
      else expect(outcome).toBeInstanceOf(UnqcowError);
      if (outcome instanceof UnqcowError) expect(outcome.code).toMatch(/^DECOMPRESS_(SHORT|FAILED)$/);
    };
    const any = fc.oneof(broken, start, fc.uint8Array({ maxLength: 300 }));
    await fc.assert(fc.asyncProperty(any, check), { numRuns: 600 });
  });
});

describe('finding a zstd frame', () => {
  const found = (before: Uint8Array, bytes: Uint8Array) => {
    const frame = findFrame(Buffer.concat([before, bytes, noise(40)]), 0);
    return frame && { ...frame, start: frame.start - before.length, end: frame.end - before.length };
  };

  it.each([0, 1, 255, 256, 300, 65_791, 65_792, 1_000_000])('of %i bytes, as zstd writes it', (size) => {
    for (const checksum of [false, true]) {
      const named = zstd(Buffer.alloc(size, TEXT), { checksum });
      expect(found(skippable(5), named)).toEqual({ start: 0, end: named.length, isWhole: true, contentSize: size });
      const nameless = zstd(Buffer.alloc(size, TEXT), { checksum, contentSize: false });
      expect(found(Buffer.alloc(0), nameless)).toEqual({
        start: 0,
        end: nameless.length,
        isWhole: true,
        contentSize: undefined,
      });
    }
  });

  it('with a dictionary id of every length', () => {
    for (const [flag, length] of [0, 1, 2, 4].entries()) {
      const bytes = Buffer.concat([
        little(0xfd2fb528, 4),
        Buffer.from([0x20 + flag]),
        Buffer.alloc(length),
        EMPTY_BODY,
      ]);
      expect(found(skippable(0), bytes)).toEqual({ start: 0, end: bytes.length, isWhole: true, contentSize: 0 });
    }
  });

  it('with a content size of eight bytes', () => {
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(2n ** 40n);
    const bytes = Buffer.concat([little(0xfd2fb528, 4), Buffer.from([0xe0]), size, run(9, false), stored(TEXT)]);
    expect(found(skippable(0), bytes)).toEqual({ start: 0, end: bytes.length, isWhole: true, contentSize: 2 ** 40 });
  });

  it('ends where the bytes end, if the frame does not', () => {
    for (const bytes of [zstd(TEXT, { checksum: true }), frame({ window: 0 }, run(1))]) {
      for (let length = 0; length < bytes.length; length += 1) {
        expect(findFrame(bytes.subarray(0, length), 0)).toMatchObject({ start: 0, end: length, isWhole: false });
      }
    }
  });

  it('finds none where a skippable frame leaves nothing', () => {
    expect(findFrame(skippable(0), 0)).toBeUndefined();
    expect(findFrame(Buffer.concat([EMPTY, skippable(9, 10)]), EMPTY.length)).toBeUndefined();
  });
});

describe('qemu-img', () => {
  const qemu = useQemu();

  const imageOf = (stream: Uint8Array) =>
    qemu.imageOf(
      imageBytes(
        compressedImage(stream, { size: BigInt(CLUSTER), header: { incompatibleFeatures: 8, compressionType: 1 } }),
      ),
    );

  it.each(WHOLE)('reads the same of %s', async (_, stream, bytes) => {
    expect(await readFile(await qemu.raw(await imageOf(stream)))).toEqual(bytes);
  });

  it.each([...SHORT, ...DAMAGED])('refuses %s as well', async (_, stream) => {
    await expect(qemu.raw(await imageOf(stream))).rejects.toThrow('Input/output error');
  });
});
