import { type Profiler, Session } from 'node:inspector/promises';

/** Which characters of which source files have run: 1 for each that has. */
export type Covered = ReadonlyMap<string, Uint8Array>;

/** Which code has run, block by block, as V8 counts for its own coverage. */
export class Coverage {
  readonly #session = new Session();
  readonly #known = new Map<string, Uint8Array>();
  readonly #files: RegExp;

  /** @param files Which files count, by their URLs. */
  constructor(files: RegExp) {
    this.#files = files;
  }

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  stop(): void {
    this.#session.disconnect();
  }

  /** What has run since the last call. */
  async taken(): Promise<Covered> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    return new Map(result.filter(({ url }) => this.#files.test(url)).map((script) => [script.url, coveredBy(script)]));
  }

  /** Whether some of it is not known to have run before. */
  isNew(covered: Covered): boolean {
    return covered.entries().some(([url, characters]) => {
      const known = this.#known.get(url);
      return characters.some((has, at) => has === 1 && known?.[at] !== 1);
    });
  }

  note(covered: Covered): void {
    for (const [url, characters] of covered) {
      const known = this.#known.get(url);
      const all = new Uint8Array(Math.max(known?.length ?? 0, characters.length));
      if (known) all.set(known);
      for (let at = 0; at < characters.length; at += 1) if (characters[at] === 1) all[at] = 1;
      this.#known.set(url, all);
    }
  }

  /** Characters that are known to have run. */
  get size(): number {
    return this.#known.values().reduce((total, characters) => total + characters.reduce((sum, has) => sum + has, 0), 0);
  }
}

/** A function's ranges lie in one another, and an inner one overrules; one that ran as often as that around it is left out. */
function coveredBy({ functions }: Profiler.ScriptCoverage): Uint8Array {
  const run = functions.filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0);
  const end = run.reduce((longest, { ranges }) => Math.max(longest, ranges[0]?.endOffset ?? 0), 0);
  const characters = new Uint8Array(end);
  // Outer functions come first, and inner ones that have not run say so, too.
  for (const { ranges } of functions) {
    for (const { startOffset, endOffset, count } of ranges) characters.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  }
  return characters;
}
