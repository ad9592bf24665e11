import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Config } from '../../functions/_shared/config.ts';
import type { StoreConfig } from '../../infra/local/stack.ts';

export interface Task {
  readonly payload: unknown;
  readonly config: Config;
  readonly store: StoreConfig;
}

type Answer = { readonly value: unknown } | { readonly error: { readonly name: string; readonly message: string } };

/** Starts a worker in a process of its own. */
export function startWorker(task: Task): { readonly process: ChildProcess; readonly result: Promise<unknown> } {
  const worker = fork(join(import.meta.dirname, 'worker.ts'), { serialization: 'advanced' });
  worker.send(task);
  return { process: worker, result: resultOf(worker) };
}

/** What it answers; as Lambda says it, if it ends without a word. */
async function resultOf(worker: ChildProcess): Promise<unknown> {
  const answers: Answer[] = [];
  worker.on('message', (answer: Answer) => answers.push(answer));
  const [, signal] = await once(worker, 'exit');
  const [answer] = answers;
  if (answer && 'value' in answer) return answer.value;
  const { name, message } = answer?.error ?? { name: 'Runtime.ExitError', message: `the worker ended by ${signal}` };
  throw Object.assign(new Error(message), { name });
}
