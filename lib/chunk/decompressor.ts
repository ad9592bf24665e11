import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { startThread, type ThreadAnswer, type ThreadJob } from './decompress-thread.ts';

/** Jobs that a thread has before it answers: the one that it does, and the next. */
const AHEAD = 2;

interface Waiting {
  readonly job: ThreadJob;
  readonly resolve: (answer: ThreadAnswer) => void;
  readonly reject: (reason: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  /** In the order that they were sent, which is the order of the answers. */
  readonly jobs: Waiting[];
}

/**
 * Threads that decompress clusters from one shared buffer into another. zlib's own thread pool takes a cluster at a time
 * and allocates for each; on the same cores that is a third more CPU.
 */
export class Decompressor {
  readonly #count: number;
  readonly #threads: Thread[] = [];
  readonly #queue: Waiting[] = [];

  /** @param count Threads; they start as they are needed. */
  constructor(count: number = availableParallelism()) {
    this.#count = count;
  }

  /** @returns the indexes of the streams that were not decompressed, since one go was not enough or they are damaged. */
  run(job: ThreadJob): Promise<ThreadAnswer> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, resolve, reject });
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = this.#freest();
      if (!thread) return;
      const next = this.#queue.shift() as Waiting;
      if (thread.jobs.length === 0) thread.worker.ref();
      thread.jobs.push(next);
      thread.worker.postMessage(next.job);
    }
  }

  #freest(): Thread | undefined {
    const idle = this.#threads.find(({ jobs }) => jobs.length === 0);
    if (idle) return idle;
    if (this.#threads.length < this.#count) return this.#start();
    const least = this.#threads.reduce((a, b) => (b.jobs.length < a.jobs.length ? b : a));
    return least.jobs.length < AHEAD ? least : undefined;
  }

  #start(): Thread {
    const thread: Thread = { worker: startThread(), jobs: [] };
    this.#threads.push(thread);
    thread.worker.on('message', (answer: ThreadAnswer) => {
      thread.jobs.shift()?.resolve(answer);
      if (thread.jobs.length === 0) thread.worker.unref();
      this.#dispatch();
    });
    // A thread that ends by itself, out of memory for example, takes its jobs with it; the next job starts another.
    thread.worker.on('error', (reason) => {
      this.#threads.splice(this.#threads.indexOf(thread), 1);
      for (const { reject } of thread.jobs) reject(reason);
      this.#dispatch();
    });
    return thread;
  }
}
