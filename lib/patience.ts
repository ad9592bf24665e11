/** How long a store is waited for, in milliseconds, and how often it is asked. */
export interface Patience {
  /** Tries of a request, the first included. */
  readonly attempts: number;
  /** A try of a read ends if so long not a byte comes. */
  readonly idle: number;
  /** A try of a read ends after this, however steadily it drips; the next goes on where it was. */
  readonly whole: number;
  /** A try of a write ends if there is no answer for so long: copies and completions take their time. */
  readonly answer: number;
  /** The longest pause between two tries of a read. */
  readonly maxPause: number;
}

export const PATIENCE: Patience = { attempts: 5, idle: 30_000, whole: 300_000, answer: 120_000, maxPause: 5_000 };
