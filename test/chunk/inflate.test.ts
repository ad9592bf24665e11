import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inflateCluster } from '../../lib/chunk/inflate.ts';
import { deflated } from '../support/hostile.ts';
import { noise } from '../support/qemu.ts';

const CLUSTER = 4096;
const TEXT = Buffer.from(noise(CLUSTER / 2).toString('hex'));

/** A block that is not the last and holds its bytes as they are; and the start of one of a type that does not exist. */
const storedBlock = (bytes: Uint8Array) => {
  const head = Buffer.alloc(5);
  head.writeUInt16LE(bytes.length, 1);
  head.writeUInt16LE(0xffff - bytes.length, 3);
  return Buffer.concat([head, bytes]);
};
const BAD_BLOCK = Buffer.alloc(64, 0xff);

const inflate = async (stream: Uint8Array, clusterSize = CLUSTER) =>
  Buffer.from(await inflateCluster(stream, clusterSize, 'disk[0]'));

describe('inflating a cluster', () => {
  it.each([512, 4096, 65_536, 2 ** 21])('gives exactly the %i bytes that were deflated', async (size) => {
    const bytes = Buffer.alloc(size, TEXT);
    expect(await inflate(deflated(bytes), size)).toEqual(bytes);
  });

  it('ignores the bytes after the stream', async () => {
    expect(await inflate(Buffer.concat([deflated(TEXT), noise(700)]))).toEqual(TEXT);
    expect(await inflate(Buffer.concat([deflated(TEXT), deflated(noise(CLUSTER))]))).toEqual(TEXT);
  });

  it('stops at one cluster of a stream that holds more', async () => {
    expect(await inflate(deflated(Buffer.concat([TEXT, noise(1)])))).toEqual(TEXT);
    expect(await inflate(deflated(Buffer.concat([TEXT, noise(100_000)])))).toEqual(TEXT);
  });

  it('stops at one cluster of a bomb, in little memory', async () => {
    const bomb = deflateRawSync(Buffer.alloc(64 << 20, 0x61));
    const before = process.memoryUsage();
    expect(await inflate(bomb)).toEqual(Buffer.alloc(CLUSTER, 0x61));
    const { arrayBuffers, external } = process.memoryUsage();
    expect(arrayBuffers + external - before.arrayBuffers - before.external).toBeLessThan(8 << 20);
  });

  it('stops at one cluster of a stream that goes wrong after it', async () => {
    expect(await inflate(Buffer.concat([storedBlock(Buffer.concat([TEXT, noise(1)])), BAD_BLOCK]))).toEqual(TEXT);
    const longer = deflated(Buffer.concat([TEXT, noise(9000)]));
    expect(await inflate(Buffer.concat([longer.subarray(0, 9000), BAD_BLOCK]))).toEqual(TEXT);
  });

  it('takes a stream without an end, if it fills the cluster', async () => {
    expect(await inflate(storedBlock(TEXT))).toEqual(TEXT);
  });

  it('takes stored blocks, longer than the cluster', async () => {
    const stream = deflated(noise(CLUSTER));
    expect(stream.length).toBeGreaterThan(CLUSTER);
    expect(await inflate(stream)).toEqual(noise(CLUSTER));
  });

  it('looks back 32 KiB, though QEMU writes windows of 4 KiB', async () => {
    const bytes = Buffer.concat([noise(30_000), noise(30_000), Buffer.alloc(65_536 - 60_000)]);
    const stream = deflated(bytes, 15);
    expect(stream.length).toBeLessThan(40_000);
    expect(await inflate(stream, 65_536)).toEqual(bytes);
  });

  it.each([
    ['an empty stream', Buffer.alloc(0)],
    ['a stream cut in the middle', deflated(TEXT).subarray(0, 1000)],
    ['a stream cut in its first byte’s block', deflated(TEXT).subarray(0, 1)],
    ['a whole stream of 4095 bytes', deflated(TEXT.subarray(1))],
    ['a whole stream of nothing', deflated(Buffer.alloc(0))],
  ])('refuses %s: DECOMPRESS_SHORT', async (_, stream) => {
    await expect(inflate(stream)).rejects.toMatchObject({ code: 'DECOMPRESS_SHORT', at: 'disk[0]' });
  });

  it.each([
    ['garbage', Buffer.alloc(512, 0xff)],
    ['zeros', Buffer.alloc(512)],
    ['a zlib header', deflateSync(TEXT)],
    ['a gzip header', gzipSync(TEXT)],
    ['a stream that goes wrong before the cluster is full', Buffer.concat([storedBlock(TEXT.subarray(1)), BAD_BLOCK])],
    // zlib looks for the next block before it says that there is no room for it, and so QEMU refuses it too.
    ['a stream that goes wrong where the cluster is full', Buffer.concat([storedBlock(TEXT), BAD_BLOCK])],
  ])('refuses %s: DECOMPRESS_FAILED', async (_, stream) => {
    await expect(inflate(stream)).rejects.toMatchObject({ code: 'DECOMPRESS_FAILED', at: 'disk[0]' });
  });

  it('gives a cluster or one of those two, whatever the bytes', async () => {
    const damaged = fc.tuple(fc.nat(deflated(TEXT).length - 1), fc.nat(255)).map(([at, value]) => {
      const stream = Buffer.from(deflated(TEXT));
      stream[at] = value;
      return stream;
    });
    const check = async (stream: Uint8Array) => {
      const outcome = await inflate(stream).catch(({ code }) => code);
      if (Buffer.isBuffer(outcome)) expect(outcome).toHaveLength(CLUSTER);
      else expect(outcome).toMatch(/^DECOMPRESS_(SHORT|FAILED)$/);
    };
    await fc.assert(fc.asyncProperty(fc.oneof(damaged, fc.uint8Array({ maxLength: 300 })), check), { numRuns: 500 });
  });

  it('leaves the stream as it was', async () => {
    const stream = deflated(TEXT);
    const before = Buffer.from(stream);
    await inflate(stream);
    expect(stream).toEqual(before);
  });
});
