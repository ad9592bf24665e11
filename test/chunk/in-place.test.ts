import { constants, deflateRawSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sharedBytes } from '../../lib/chunk/buffers.ts';
import { inPlace } from '../../lib/chunk/in-place.ts';
import { inflateCluster } from '../../lib/chunk/inflate.ts';
import { unzstdCluster } from '../../lib/chunk/zstd.ts';
import { findFrame } from '../../lib/chunk/zstd-frame.ts';
import { noise } from '../support/qemu.ts';

const CLUSTER = 4096;
const text = (seed: number) => Buffer.alloc(CLUSTER, `${seed} cluster ${noise(40).toString('hex')}`);
const compressors = {
  deflate: (bytes: Uint8Array): Buffer => deflateRawSync(bytes),
  zstd: (bytes: Uint8Array): Buffer => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
};
const careful = { deflate: inflateCluster, zstd: unzstdCluster };
function flipped(bytes: Buffer, at: number, bits = 1): Buffer {
  const changed = Buffer.from(bytes);
  if (at < changed.length) changed[at] = (changed[at] as number) ^ bits;
  return changed;
}

describe.each([
  ['deflate', true],
  ['deflate', false],
  ['zstd', true],
  ['zstd', false],
] as const)('%s decompressed in place (by the native handle: %s)', (compression, native) => {
  const compress = compressors[compression];
  /** What threads are given: of zstd a whole frame that says that it holds a cluster. */
  const isUsual = (bytes: Buffer) => {
    const frame = compression === 'zstd' ? findFrame(bytes, 0) : undefined;
    return compression === 'deflate' || (frame?.isWhole && frame.contentSize === CLUSTER && frame.start === 0);
  };

  it('fills its cluster and not a byte beside it, in shared memory', () => {
    const decompress = inPlace(compression, native);
    const into = sharedBytes(3 * CLUSTER).fill(7);
    const [first, second] = [text(1), text(2)];
    expect(decompress(compress(first), into.subarray(CLUSTER, 2 * CLUSTER))).toBe(true);
    expect(Buffer.from(into)).toEqual(Buffer.concat([Buffer.alloc(CLUSTER, 7), first, Buffer.alloc(CLUSTER, 7)]));
    expect(decompress(compress(second), into.subarray(0, CLUSTER))).toBe(true);
    expect(Buffer.from(into)).toEqual(Buffer.concat([second, first, Buffer.alloc(CLUSTER, 7)]));
  });

  it('says what is short, too long, cut off or damaged, and then does the next one as if nothing had been', () => {
    const decompress = inPlace(compression, native);
    const whole = text(3);
    const good = compress(whole);
    const bad = [
      compress(text(4).subarray(1)),
      good.subarray(0, -5),
      good.subarray(0, 0),
      Buffer.alloc(100, 0xff),
      ...(compression === 'zstd' ? [compress(Buffer.concat([text(5), text(5)])), flipped(good, good.length - 1)] : []),
    ];
    for (const stream of bad) {
      const cluster = new Uint8Array(CLUSTER);
      expect(decompress(stream, cluster)).toBe(false);
      expect(decompress(good, cluster)).toBe(true);
      expect(Buffer.from(cluster)).toEqual(whole);
    }
  });

  it('never takes for sound what the careful way refuses, nor makes other bytes of it', async () => {
    const decompress = inPlace(compression, native);
    const stream = fc
      .record({
        size: fc.integer({ min: CLUSTER - 2, max: CLUSTER + 2 }),
        at: fc.nat(),
        bit: fc.nat(7),
        cut: fc.nat(20),
      })
      .map(({ size, at, bit, cut }) => {
        const bytes = compress(Buffer.alloc(size, 'of text that compresses, of text that repeats'));
        const whole = flipped(bytes, at % (2 * bytes.length), 1 << bit);
        return cut < 10 ? whole.subarray(0, whole.length - cut) : whole;
      });
    const check = async (bytes: Buffer) => {
      const cluster = Buffer.alloc(CLUSTER);
      if (!isUsual(bytes) || !decompress(bytes, cluster)) return;
      expect(cluster).toEqual(Buffer.from(await careful[compression](bytes, CLUSTER, 'here')));
    };
    await fc.assert(fc.asyncProperty(stream, check), { numRuns: 500 });
  });
});
