import { ErrorCodes, UnqcowError, type Warning } from '../lib/errors.ts';
import { toJson } from '../lib/format/json.ts';

/** Exit codes of every command but `check`. */
export const EXIT = { done: 0, refused: 1, usage: 2 } as const;

/** Names come from images: what a terminal might obey is shown, not sent. */
export function printable(text: string): string {
  return toJson(text).slice(1, -1).replaceAll('\\"', '"').replaceAll('\\\\', '\\');
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function printWarnings(warnings: readonly Warning[]): void {
  for (const { code, message, at } of warnings) note(printable(`warning: ${code}: ${message}${at ? ` (${at})` : ''}`));
}

/** Says on stderr why nothing came of it: as a sentence, or with `--json` as one object. */
export function reportRefusal(error: unknown, json: boolean): void {
  const refusal = error instanceof UnqcowError ? error : new UnqcowError('INTERNAL', describe(error), { cause: error });
  const { code, message, at } = refusal;
  if (json) {
    note(toJson({ code, message, ...(at ? { at } : {}) }));
    return;
  }
  const text = `unqcow: ${code}: ${message}${at ? ` (${at})` : ''}`;
  note(code === 'INTERNAL' ? text : printable(text));
  note(`        ${ErrorCodes[code].means}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
