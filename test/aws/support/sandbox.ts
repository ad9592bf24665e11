import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { folderOf } from './package.ts';
import { type Outcome, RuntimeApi } from './runtime-api.ts';
import type { Resource } from './template.ts';

const RUNTIME_CLIENT = resolve('test/aws/ric/node_modules/aws-lambda-ric/index.mjs');

/** A function as the template configures it. Timeout in seconds, memory in MiB. */
export interface Configuration {
  readonly name: string;
  readonly handler: string;
  readonly timeout: number;
  readonly memory: number;
  readonly environment: Readonly<Record<string, string>>;
}

/** @param resources Of a template, evaluated. @returns by the name in `functions/`. */
export function configurations(resources: Readonly<Record<string, Resource>>): Map<string, Configuration> {
  const functions = Object.values(resources).filter(({ Type }) => Type === 'AWS::Lambda::Function');
  return new Map(
    functions.map(({ Properties: { FunctionName, Handler, Timeout, MemorySize, Environment } }) => {
      const name = String(FunctionName).replace('unqcow-test-', '');
      const numbers = { timeout: Number(Timeout), memory: Number(MemorySize) };
      return [name, { name, handler: Handler, ...numbers, environment: Environment.Variables }] as const;
    }),
  );
}

/** Unpacks a function's artefact into a folder of its own, where nothing else is to be found. */
export function unpack(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `unqcow-task-${name}-`));
  execFileSync('python3', ['-m', 'zipfile', '-e', join(folderOf('plain'), `${name}.zip`), folder]);
  return folder;
}

/**
 * One execution environment: a process that has the artefact and Lambda's runtime client, and no other module. It does
 * one invocation at a time, and is killed when the function's time is over.
 */
export class Sandbox {
  readonly #api: RuntimeApi;
  readonly #configuration: Configuration;
  readonly #process: ChildProcess;
  readonly started = performance.now();
  /** Bytes of memory that it had at most, so far. */
  peak = 0;
  alive = true;
  stdout = '';

  static async start(configuration: Configuration, task: string): Promise<Sandbox> {
    const api = new RuntimeApi();
    return new Sandbox(api, await api.listen(), configuration, task);
  }

  private constructor(api: RuntimeApi, address: string, configuration: Configuration, task: string) {
    this.#api = api;
    this.#configuration = configuration;
    const { name, handler, memory, environment } = configuration;
    this.#process = spawn(
      process.execPath,
      [`--max-old-space-size=${Math.floor(memory * 0.9)}`, RUNTIME_CLIENT, handler],
      {
        cwd: task,
        stdio: ['ignore', 'pipe', 'pipe'],
        // No PATH, no HOME, no NODE_PATH: what is not in the artefact is not there.
        env: {
          ...environment,
          AWS_LAMBDA_RUNTIME_API: address,
          AWS_LAMBDA_FUNCTION_NAME: name,
          AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
          AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memory),
          AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
          AWS_LAMBDA_LOG_STREAM_NAME: 'test',
          AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
          AWS_REGION: 'us-east-1',
          LAMBDA_TASK_ROOT: task,
          _HANDLER: handler,
        },
      },
    );
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.#process.once('exit', (code) => {
      this.alive = false;
      const errorMessage = `RequestId: unknown Error: Runtime exited with error: exit status ${code}`;
      this.#api.lost({ ok: false, errorType: 'Runtime.ExitError', errorMessage });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Until the function's module is loaded. */
  ready(): Promise<void> {
    return this.#api.ready;
  }

  /** @param limit Milliseconds that the invocation may take; the function's time-out if left out. */
  async invoke(payload: unknown, limit = this.#configuration.timeout * 1000): Promise<Outcome> {
    const id = randomUUID();
    const arn = `arn:aws:lambda:us-east-1:123456789012:function:${this.#configuration.name}`;
    const outcome = this.#api.invoke({ id, payload, arn, deadline: Date.now() + limit });
    const overdue = setTimeout(() => {
      const errorMessage = `RequestId: ${id} Error: Task timed out after ${(limit / 1000).toFixed(2)} seconds`;
      this.#api.lost({ ok: false, errorType: 'Sandbox.Timedout', errorMessage });
      this.close();
    }, limit);
    try {
      return await outcome;
    } finally {
      clearTimeout(overdue);
      this.#measure();
    }
  }

  close(): void {
    this.alive = false;
    this.#process.kill('SIGKILL');
    this.#api.close();
  }

  #measure(): void {
    try {
      const [, kibibytes = '0'] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8')) ?? [];
      this.peak = Math.max(this.peak, Number(kibibytes) * 1024);
    } catch {
      // It is gone, and what it had with it.
    }
  }
}

export const remove = (folder: string): void => rmSync(folder, { recursive: true, force: true });
