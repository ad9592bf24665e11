import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Which executions have begun and not ended: what a machine that is killed leaves to the next one. */
export interface Journal {
  begun(name: string, input: string): void;
  ended(name: string): void;
  /** In no order. */
  unfinished(): { readonly name: string; readonly input: string }[];
}

/** Keeps each one's input in a file of its name, which may hold nothing that a path would mind. */
export function openJournal(folder: string): Journal {
  mkdirSync(folder, { recursive: true });
  const fileOf = (name: string) => join(folder, `${name}${SUFFIX}`);
  return {
    begun: (name, input) => writeFileSync(fileOf(name), input),
    ended: (name) => rmSync(fileOf(name), { force: true }),
    unfinished: () =>
      readdirSync(folder)
        .filter((file) => file.endsWith(SUFFIX))
        .map((file) => ({ name: file.slice(0, -SUFFIX.length), input: readFileSync(join(folder, file), 'utf8') })),
  };
}

const SUFFIX = '.json';

/** Where nothing is left to anyone. */
export const NO_JOURNAL: Journal = { begun: () => undefined, ended: () => undefined, unfinished: () => [] };
