import { UnqcowError } from '../../../lib/errors.ts';

/** Something that takes bytes from strangers. */
export interface Target {
  readonly name: string;
  /** Inputs to start from. */
  readonly seeds: readonly Uint8Array[];
  /** Takes an input; throws only if we have a defect. */
  run(bytes: Uint8Array): Promise<void>;
}

/** Runs what may refuse its input by one of our codes, and by nothing else. */
export async function orRefuse<T>(work: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnqcowError && error.code !== 'INTERNAL') return undefined;
    throw error;
  }
}

export function assert(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`);
}
