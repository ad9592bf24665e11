/** How long a store is waited for, in milliseconds, and how often it is asked. */
export interface Patience {
  /** Tries of a request, the first included. */
  readonly attempts: number;
  /** A try of a read ends if so long not a byte comes. */
  readonly idle: number;
  /** A try of a read ends after this, however steadily it drips; the next goes on where it was. */
  readonly whole: number;
  /** A try of a write ends if nothing moves for so long: copies and completions take their time. */
  readonly answer: number;
  /** A try of a write ends after this, however steadily its body goes: four parts of 64 MiB at 1.2 Mbit/s. */
  readonly send: number;
  /** The longest pause between two tries of a read. */
  readonly maxPause: number;
}

export const PATIENCE: Patience = {
  attempts: 5,
  idle: 30_000,
  whole: 300_000,
  answer: 120_000,
  send: 1_800_000,
  maxPause: 5_000,
};

/** For services that answer at once or not at all: of the 29 s that a function of the HTTP API has, five tries take 25. */
export const PROMPT = {
  requestHandler: {
    connectionTimeout: 3_000,
    requestTimeout: 5_000,
    throwOnRequestTimeout: true,
    socketTimeout: 5_000,
  },
} as const;
