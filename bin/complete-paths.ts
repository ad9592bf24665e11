import { type Dirent, readdirSync } from 'node:fs';
import type tab from '@bomb.sh/tab/commander';

/** Options and arguments that are paths, or may be. */
const PATHS = ['image', 'target', 'passphrase-file', 'allow', 'dir'];

/** Has the shell offer paths, too: what completes commands and options leaves them out. */
export function completePaths({ commands }: ReturnType<typeof tab>): void {
  const offer = (complete: (value: string, description: string) => void) => {
    // As a word of its own, or behind its option and `=`.
    const typed = process.argv.at(-1)?.replace(/^--[\w-]+=/, '') ?? '';
    for (const path of pathsFrom(typed)) complete(path, '');
  };
  for (const { options, arguments: positional } of commands.values()) {
    for (const taker of PATHS.flatMap((name) => [options.get(name), positional.get(name)])) {
      if (taker) taker.handler = offer;
    }
  }
}

/** Entries of a folder that are offered, at most. */
const MOST = 1_000;

/** The paths that begin so. A folder that stands alone comes with what is in it, or a shell would take it for the end. */
function pathsFrom(typed: string): string[] {
  const found = entries(typed);
  const [first] = found;
  return found.length === 1 && first?.endsWith('/') ? [first, ...entries(first)] : found;
}

function entries(typed: string): string[] {
  const [, folder = '', begun = ''] = /^(.*\/)?([^/]*)$/s.exec(typed) ?? [];
  let listed: Dirent[];
  try {
    listed = readdirSync(folder || '.', { withFileTypes: true });
  } catch {
    return [];
  }
  // What completes goes by lines and tabs. Hidden files are for who asks for them.
  return listed
    .filter(({ name }) => name.startsWith(begun) && !/[\t\n]/.test(name) && (begun !== '' || !name.startsWith('.')))
    .slice(0, MOST)
    .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`);
}
