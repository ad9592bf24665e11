import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const UNQCOW = fileURLToPath(new URL('../../bin/unqcow', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as a process of its own. `during` sees it while it runs; `env` comes to what is in its environment. */
export async function unqcow(
  args: readonly string[],
  during?: (child: ChildProcess) => Promise<void>,
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const child = spawn(UNQCOW, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const code = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr] = [text(child.stdout), text(child.stderr)];
  await during?.(child);
  return { code: await code, stdout: await stdout, stderr: await stderr };
}
