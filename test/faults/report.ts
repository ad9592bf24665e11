import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const DOCUMENT = join(import.meta.dirname, '../../docs/reliability.md');

/**
 * Puts what a command found between its two marks in `docs/reliability.md`; the words around them are written by hand.
 *
 * @throws Error if the document has no such marks.
 */
export async function report(section: string, lines: readonly string[]): Promise<void> {
  const text = await readFile(DOCUMENT, 'utf8');
  const [start, end] = [`<!-- ${section} -->\n`, `<!-- end of ${section} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/reliability.md has no place for ${section}`);
  await writeFile(DOCUMENT, `${text.slice(0, from)}${start}\n${lines.join('\n')}\n\n${text.slice(to)}`);
}

export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)];
}
