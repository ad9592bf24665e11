import { Buffers } from '../chunk/buffers.ts';
import type { Part } from '../plan/parts.ts';
import { PLAN_LIMITS } from '../plan/s3-limits.ts';
import type { HereRequest, HereResult } from './here-request.ts';
import { type MapOptions, mapOrStop } from './map-or-stop.ts';

/** A raw disk that is being made: what there is to do, in the disk's order, and the two ways in which it may end. */
export interface Making {
  readonly tasks: readonly MakingTask[];
  /** Once all tasks are done: checks the sources again, and puts the raw disk in its place. */
  finish(): Promise<Made>;
  /** Leaves nothing of it behind. */
  discard(): Promise<void>;
}

export interface MakingTask {
  /** Where on the disk it starts, in bytes. */
  readonly start: number;
  /** Bytes that it assembles; 0 where the store or the file system makes them. */
  readonly memory: number;
  /** @param buffer Shared memory of that size, whatever is there now. */
  run(stop: AbortSignal, buffer: Uint8Array): Promise<void>;
}

export type Made = Pick<HereResult, 'crc32' | 'parts'>;

const NOTHING = new Uint8Array(0);

/**
 * Runs tasks: `concurrency` of those that assemble bytes, in as many buffers, and beside them those that do not. Where
 * tasks take more than 64 MiB, fewer run at a time: all together take no more than `concurrency` of 64 MiB would, or one
 * of them.
 */
export async function runTasks(tasks: readonly MakingTask[], { concurrency, signal }: MapOptions): Promise<void> {
  const longest = tasks.reduce((max, { memory }) => Math.max(max, memory), 1);
  const fitting = Math.max(1, Math.floor((concurrency * PLAN_LIMITS.dataPart) / longest));
  const assembling = Math.min(concurrency, fitting);
  const buffers = new Buffers(longest, assembling);
  const assemble = (task: MakingTask, stop: AbortSignal) =>
    buffers.with((buffer) => task.run(stop, buffer.subarray(0, task.memory)));
  const lanes = [
    { tasks: tasks.filter(({ memory }) => memory > 0), run: assemble, concurrency: assembling },
    {
      tasks: tasks.filter(({ memory }) => memory === 0),
      run: (task: MakingTask, stop: AbortSignal) => task.run(stop, NOTHING),
      concurrency: PLAN_LIMITS.copiesAtOnce,
    },
  ];
  await mapOrStop(
    lanes,
    ({ run, ...lane }, stop) => mapOrStop(lane.tasks, run, { concurrency: lane.concurrency, signal: stop }),
    { concurrency: lanes.length, signal },
  );
}

/** Tells the caller how far the work is, as lengths that are done come in. */
export function progressReporter({ onProgress }: HereRequest, total: number) {
  let done = 0;
  const parts: Partial<Record<Part['kind'], number>> = {};
  return (bytes: number, kind?: Part['kind']) => {
    done += bytes;
    if (kind) parts[kind] = (parts[kind] ?? 0) + 1;
    onProgress?.(done, total, parts);
  };
}
