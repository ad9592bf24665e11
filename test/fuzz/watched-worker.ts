import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MiB } from '../../lib/units.ts';
import type { Case } from './cases.ts';
import type { Verdict } from './judge.ts';
import type { Word } from './worker.ts';

/** What one conversion may take. Most take 20 ms and leave the process at 150 MiB. */
const LIMITS = { milliseconds: 20_000, bytes: 640 * MiB };
const PAGE = 4096;
const SCRIPT = join(import.meta.dirname, 'worker.ts');

/** A process that tries one case after another, and is replaced when it dies, hangs or grows. */
export class WatchedWorker {
  readonly #folder: string;
  readonly #limits: typeof LIMITS;
  readonly #script: string;
  #child: ChildProcess | undefined;

  /** @param folder For its files, which are gone after each case. */
  constructor(folder: string, limits = LIMITS, script = SCRIPT) {
    this.#folder = folder;
    this.#limits = limits;
    this.#script = script;
  }

  /** Tries a case. That it crashed, hung or grew is a verdict, too. */
  async try(each: Case): Promise<Verdict> {
    this.#child ??= fork(this.#script, [this.#folder], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const child = this.#child;
    const stop = new AbortController();
    const { signal } = stop;
    const verdicts = [
      answerOf(child, this.#limits, signal),
      deathOf(child, signal),
      excessOf(child, this.#limits, signal),
    ];
    child.send(each);
    const verdict = await Promise.race(verdicts);
    stop.abort();
    if (verdict.finding && !verdict.code) this.close();
    return verdict;
  }

  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}

const finding = (text: string): Verdict => ({ outcome: 'finding', finding: text });

/** Its verdict, or that it took too long over its own part of the work, or too much memory at its peak. */
function answerOf(child: ChildProcess, { milliseconds, bytes }: typeof LIMITS, signal: AbortSignal): Promise<Verdict> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const listen = (word: Word) => {
      clearTimeout(timer);
      if (word.kind === 'verdict') {
        resolve(word.peakBytes > bytes ? finding(`memory: ${word.peakBytes} bytes`) : word.verdict);
      } else if (word.phase === 'ours') {
        timer = setTimeout(() => resolve(finding(`hang: more than ${milliseconds} ms`)), milliseconds);
      }
    };
    child.on('message', listen);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      child.off('message', listen);
    });
  });
}

function deathOf(child: ChildProcess, signal: AbortSignal): Promise<Verdict> {
  return new Promise((resolve) => {
    let said = '';
    const hear = (chunk: Buffer) => {
      said += chunk;
    };
    const die = (code: number | null, killed: string | null) => resolve(finding(`crash: ${killed ?? code}\n${said}`));
    child.stderr?.on('data', hear);
    child.once('exit', die);
    signal.addEventListener('abort', () => {
      child.stderr?.off('data', hear);
      child.off('exit', die);
    });
  });
}

/** Ends one that grows before it takes the machine with it. */
function excessOf(child: ChildProcess, limits: typeof LIMITS, signal: AbortSignal): Promise<Verdict> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const bytes = residentBytes(child.pid as number);
      if (bytes > limits.bytes) resolve(finding(`memory: ${bytes} bytes`));
    }, 200);
    signal.addEventListener('abort', () => clearInterval(timer));
  });
}

function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE;
  } catch {
    return 0; // it has ended
  }
}
