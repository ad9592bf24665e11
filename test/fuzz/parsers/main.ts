import { fork } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Report } from './explore.ts';

/** `npm run fuzz:parsers -- --seconds N`: exits 1 if it finds a defect. `--save` keeps what reached something new. */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    /** `parsers` or `handlers`. */
    only: { type: 'string', default: '' },
    save: { type: 'boolean', default: false },
  },
});

/** A batch takes two seconds of a processor; but on a busy machine that may be long in coming. */
const HANG_MS = 600_000;
/** Where the inputs lie of which one does not end, or ends the process. */
const UNFINISHED = '.unqcow/fuzz/unfinished.json';

const say = (text: string) => process.stdout.write(`${text}\n`);
const folder = await mkdtemp(join(tmpdir(), 'unqcow-explore-'));
const current = join(folder, 'current.json');

type Done = Report & { readonly kind: 'done' };

/** @throws Error if an input ends the process, or never ends. */
function explore(group: string, seconds: number): Promise<Done> {
  const args = [group, `${seconds}`, values.seed, current, values.save ? 'save' : ''];
  const child = fork(join(import.meta.dirname, 'explore.ts'), args);
  return new Promise<Done>((resolve, reject) => {
    const hung = () => reject(new Error('one of these inputs does not end'));
    let timer = setTimeout(hung, HANG_MS).unref();
    child.on('message', (word: Report) => {
      clearTimeout(timer);
      if (word.kind === 'done') resolve(word);
      else timer = setTimeout(hung, HANG_MS).unref();
    });
    child.on('exit', (code, signal) => reject(new Error(`one of these inputs ends the process: ${signal ?? code}`)));
  }).finally(() => child.kill('SIGKILL'));
}

try {
  const groups = values.only === '' ? ['parsers', 'handlers'] : [values.only];
  for (const group of groups) {
    const seconds = Math.ceil(Number(values.seconds) / groups.length);
    const { rows, findings, reached } = await explore(group, seconds);
    for (const { target, executions, corpus } of rows) {
      say(`${String(executions).padStart(10)}  ${target} (${corpus} inputs)`);
    }
    for (const { target, input, error } of findings) say(`${target}: ${input}\n${error}`);
    const total = rows.reduce((sum, { executions }) => sum + executions, 0);
    say(
      `${group}: ${total} executions in ${seconds} s, ${reached} characters of source reached, ${findings.length} findings`,
    );
    if (findings.length > 0) process.exitCode = 1;
  }
} catch (error) {
  await mkdir(dirname(UNFINISHED), { recursive: true });
  await copyFile(current, UNFINISHED).catch(() => undefined);
  say(`${(error as Error).message}: see ${UNFINISHED}`);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
