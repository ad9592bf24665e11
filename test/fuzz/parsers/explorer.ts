import type { Coverage, Covered } from './coverage.ts';
import { mutatedBytes } from './mutate-bytes.ts';
import type { Target } from './target.ts';

/** V8's counts take longer to get than most inputs to run: so many inputs are run between two looks at them. */
const BATCH = 256;
const MAX_INPUT = 48 * 1024;

export interface Finding {
  readonly target: string;
  readonly input: Uint8Array;
  readonly error: Error;
}

/** Looks for inputs of one target that reach code which none before has reached, and for those that show a defect. */
export class Explorer {
  executions = 0;
  readonly findings: Finding[] = [];
  /** Inputs that reached something new, in the order in which they were found. */
  readonly found: Uint8Array[] = [];
  readonly #target: Target;
  readonly #corpus: Uint8Array[];
  readonly #coverage: Coverage;
  readonly #roll: (below: number) => number;

  constructor(target: Target, known: readonly Uint8Array[], coverage: Coverage, roll: (below: number) => number) {
    this.#target = target;
    this.#corpus = [...target.seeds, ...known];
    this.#coverage = coverage;
    this.#roll = roll;
  }

  get corpusSize(): number {
    return this.#corpus.length;
  }

  /** Runs what is known already, which is no news. */
  async begin(): Promise<void> {
    this.#coverage.note(await this.#coveredBy(this.#corpus));
  }

  /** Runs some new inputs. @param about Told of them first: one might never end. */
  async step(about: (inputs: readonly Uint8Array[]) => void): Promise<void> {
    const inputs = Array.from({ length: BATCH }, () => {
      return mutatedBytes(this.#any(), this.#any(), this.#roll, MAX_INPUT);
    });
    about(inputs);
    const covered = await this.#coveredBy(inputs);
    if (!this.#coverage.isNew(covered)) return;
    await this.#keep(inputs);
    // What is left comes of several inputs together.
    this.#coverage.note(covered);
  }

  /** Halves the inputs until it is clear which of them reached something new. */
  async #keep(inputs: readonly Uint8Array[]): Promise<void> {
    const middle = Math.ceil(inputs.length / 2);
    for (const half of [inputs.slice(0, middle), inputs.slice(middle)]) {
      const covered = await this.#coveredBy(half);
      if (!this.#coverage.isNew(covered)) continue;
      if (half.length > 1) {
        await this.#keep(half);
        continue;
      }
      this.#coverage.note(covered);
      this.#corpus.push(...half);
      this.found.push(...half);
    }
  }

  async #coveredBy(inputs: readonly Uint8Array[]): Promise<Covered> {
    for (const input of inputs) await this.#run(input);
    return this.#coverage.taken();
  }

  /** The newest half as a rule: what was found last has been tried least. */
  #any(): Uint8Array {
    const { length } = this.#corpus;
    const from = this.#roll(2) === 0 ? Math.floor(length / 2) : 0;
    return this.#corpus[from + this.#roll(length - from)] as Uint8Array;
  }

  async #run(input: Uint8Array): Promise<void> {
    this.executions += 1;
    try {
      await this.#target.run(Buffer.from(input));
    } catch (error) {
      const known = this.findings.some((each) => each.error.message === (error as Error).message);
      if (!known) this.findings.push({ target: this.#target.name, input, error: error as Error });
    }
  }
}
