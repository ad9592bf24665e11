import { UnqcowError, type Warning, type WarningCode } from '../errors.ts';

/** Gathers warnings, one per code: an image with a million odd entries must not make a million warnings. */
export class Warnings {
  readonly #seen = new Map<WarningCode, { readonly first: Warning; count: number }>();

  readonly add = (warning: Warning): void => {
    const seen = this.#seen.get(warning.code);
    if (seen) seen.count += 1;
    else this.#seen.set(warning.code, { first: warning, count: 1 });
  };

  /** In the order in which they were first met; the message of one that repeats says how often. */
  list(): Warning[] {
    return [...this.#seen.values()].map(({ first, count }) =>
      count === 1 ? first : { ...first, message: `${first.message} (and ${count - 1} more)` },
    );
  }
}

/** What was thrown while an image was open, which then also tells what was odd about the image by then. */
export function withWarnings(error: unknown, warnings: Warnings | undefined): unknown {
  if (error instanceof UnqcowError && warnings) error.warnings ??= warnings.list();
  return error;
}
