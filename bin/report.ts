import { styleText } from 'node:util';
import { CURES } from '../lib/cures.ts';
import { ErrorCodes, UnqcowError, type Warning } from '../lib/errors.ts';
import type { Verdict } from '../lib/format/check/report.ts';
import { toJson } from '../lib/format/json.ts';
import type { LostReport } from '../lib/jobs/losses.ts';

/** Exit codes of every command; `check` has more of its own, and so has two meanings for 2 and 3. */
export const EXIT = { done: 0, refused: 1, usage: 2, lossy: 3 } as const;

/** As `qemu-img check` exits. */
export const CHECK_EXIT: Readonly<Record<Verdict, number>> = { clean: 0, incomplete: 1, corrupt: 2, leaks: 3 };

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
  for (const { code, message, at } of warnings) {
    note(`${onStderr('yellow', 'warning:')} ${printable(`${code}: ${message}${at ? ` (${at})` : ''}`)}`);
  }
}

/** In colour on a terminal, unless NO_COLOR is set. */
const onStderr = (style: 'red' | 'yellow', text: string) => styleText(style, text, { stream: process.stderr });

/** Lines about lost extents that a person is shown. */
const MOST_LOST = 20;

export function printLost({ extents, more }: LostReport): void {
  for (const { start, length, depth, code, message, at } of extents.slice(0, MOST_LOST)) {
    const file = depth > 0 ? `, ${depth} down the chain` : '';
    const place = at ? ` (${at}${file})` : '';
    note(
      `${onStderr('yellow', 'lost:')} ${printable(`${length} bytes from ${start} on: ${code}: ${message}${place}`)}`,
    );
  }
  const left = Math.max(0, extents.length - MOST_LOST) + more;
  if (left > 0) note(`lost: ${left} more extents; --json lists up to 1,000`);
}

/** Says on stderr why nothing came of it: as a sentence, or with `--json` as one object. */
export function reportRefusal(error: unknown, json: boolean): void {
  const refusal = error instanceof UnqcowError ? error : new UnqcowError('INTERNAL', describe(error), { cause: error });
  const { code, message, at, warnings = [] } = refusal;
  if (json) {
    note(toJson({ code, message, ...(at ? { at } : {}), ...(warnings.length > 0 ? { warnings } : {}) }));
    return;
  }
  printWarnings(warnings);
  const text = `${message}${at ? ` (${at})` : ''}`;
  note(`unqcow: ${onStderr('red', code)}: ${code === 'INTERNAL' ? text : printable(text)}`);
  note(`        ${ErrorCodes[code].means}`);
  note(`        ${CURES[code]}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
