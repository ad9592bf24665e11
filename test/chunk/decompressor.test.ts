import { deflateRawSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { sharedBytes } from '../../lib/chunk/buffers.ts';
import type { ThreadJob } from '../../lib/chunk/decompress-thread.ts';
import { Decompressor } from '../../lib/chunk/decompressor.ts';
import { KiB } from '../../lib/units.ts';

const cluster = Buffer.alloc(64 * KiB, 'unqcow');
const stream = deflateRawSync(cluster);

function job(changes: Partial<ThreadJob> = {}): ThreadJob {
  const stored = sharedBytes(stream.length);
  stored.set(stream);
  const streams = [{ start: 0, end: stream.length, at: 0, skip: 0, length: cluster.length }];
  return { compression: 'deflate', clusterSize: 64 * KiB, stored, into: sharedBytes(64 * KiB), streams, ...changes };
}

it('a thread that ends by itself takes its own jobs with it, and no other', async () => {
  const threads = new Decompressor(1);
  // What is no list of streams is an error in the thread's own program: as if it ran out of memory.
  const deadly = Array.from({ length: 2 }, () => threads.run(job({ streams: undefined as never })));
  const others = Array.from({ length: 5 }, () => job());
  const runs = others.map((each) => threads.run(each));
  expect((await Promise.allSettled(deadly)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await Promise.all(runs)).toEqual(others.map(() => []));
  expect(others.every(({ into }) => cluster.equals(into))).toBe(true);
  await threads.close();
});
