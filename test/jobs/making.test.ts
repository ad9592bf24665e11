import { describe, expect, it } from 'vitest';
import { runTasks } from '../../lib/jobs/making.ts';
import { MiB } from '../../lib/units.ts';

/** The most bytes, and the most tasks, that were at work at the same time. */
async function peakOf(memories: readonly number[], concurrency: number) {
  const now = { bytes: 0, tasks: 0 };
  const peak = { bytes: 0, tasks: 0 };
  const buffers = new Set<ArrayBufferLike>();
  const tasks = memories.map((memory, start) => ({
    start,
    memory,
    async run(_: AbortSignal, buffer: Uint8Array) {
      expect(buffer.length).toBe(memory);
      buffers.add(buffer.buffer);
      now.bytes += memory;
      now.tasks += 1;
      peak.bytes = Math.max(peak.bytes, now.bytes);
      peak.tasks = Math.max(peak.tasks, now.tasks);
      await new Promise((resolve) => setTimeout(resolve, 5));
      now.bytes -= memory;
      now.tasks -= 1;
    },
  }));
  await runTasks(tasks, { concurrency });
  return { ...peak, held: [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0) };
}

describe('tasks that assemble bytes', () => {
  it.each([
    [4, 4, 4],
    [64, 4, 4],
    [65, 4, 3],
    [128, 4, 2],
    [512, 4, 1],
    [512, 16, 2],
    [512, 1, 1],
  ])('of %i MiB, by %i workers, run %i at a time', async (mebibytes, workers, atOnce) => {
    const memory = mebibytes * MiB;
    const peak = await peakOf(Array(20).fill(memory), workers);
    expect(peak).toEqual({ bytes: atOnce * memory, tasks: atOnce, held: atOnce * memory });
  });

  it('run beside any number that the store does, and are counted by the longest', async () => {
    const peak = await peakOf([...Array(16).fill(0), 64 * MiB, 256 * MiB, 64 * MiB], 4);
    expect(peak.bytes).toBe(256 * MiB);
    expect(peak.tasks).toBe(17);
    expect(peak.held).toBe(256 * MiB);
  });
});
