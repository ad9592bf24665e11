import { expect } from 'vitest';
import { unqcow } from '../cli/run.ts';

/** Serves an image while a test looks at it, then ends it as Ctrl-C does. */
export async function serving(args: readonly string[], look: (url: string) => Promise<void>): Promise<void> {
  const outcome = await unqcow(['serve', '--port', '0', ...args], async (child) => {
    const line = await new Promise<string>((resolve) => child.stdout?.once('data', (text) => resolve(String(text))));
    try {
      await look(line.split(' ')[0] as string);
    } finally {
      child.kill('SIGINT');
    }
  });
  expect(outcome.code).toBe(0);
}
