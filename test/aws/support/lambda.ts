import type { Outcome } from './runtime-api.ts';
import { type Configuration, remove, Sandbox, unpack } from './sandbox.ts';

/** A function as Lambda runs it: as many execution environments as there are invocations at once, each kept for the next. */
export class Lambda {
  readonly configuration: Configuration;
  readonly #task: string;
  readonly #idle: Sandbox[] = [];
  readonly #all: Sandbox[] = [];

  constructor(configuration: Configuration) {
    this.configuration = configuration;
    this.#task = unpack(configuration.name);
  }

  async invoke(payload: unknown, limit?: number): Promise<Outcome> {
    const sandbox = this.#idle.pop() ?? (await this.#start());
    const outcome = await sandbox.invoke(payload, limit);
    if (sandbox.alive) this.#idle.push(sandbox);
    return outcome;
  }

  /** @throws Error named as the function's error is, as Step Functions hears of it. */
  async call(payload: unknown): Promise<unknown> {
    const outcome = await this.invoke(payload);
    if (outcome.ok) return outcome.payload;
    throw Object.assign(new Error(outcome.errorMessage), { name: outcome.errorType });
  }

  /** Bytes of memory that one of its environments had at most. */
  get peak(): number {
    return Math.max(0, ...this.#all.map(({ peak }) => peak));
  }

  get environments(): readonly Sandbox[] {
    return this.#all;
  }

  close(): void {
    for (const sandbox of this.#all) sandbox.close();
    remove(this.#task);
  }

  async #start(): Promise<Sandbox> {
    const sandbox = await Sandbox.start(this.configuration, this.#task);
    this.#all.push(sandbox);
    return sandbox;
  }
}
