/**
 * Has every fault befall every kind of request of every function, and looks at what becomes of the conversion or the question.
 *
 *     node test/faults/run.ts [--all] [--only TEXT] [--seed N] [--processes N] [--resume FILE] [--trace]
 *
 * Ends with 1 if one went wrong. Without `--all`, the core: see `selection.ts`. What became of each cell is kept in FILE; those
 * that it says have passed are not run again.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { targetKind } from '../s3/target.ts';
import type { Cell, Outcome } from './cells.ts';
import { report, table } from './report.ts';
import type { Selection } from './selection.ts';

/** What a process is told. */
export interface ShareTask {
  readonly selection: Selection;
  readonly share: number;
  readonly shares: number;
  readonly trace: boolean;
  /** What has passed before. */
  readonly known: readonly ShareAnswer[];
}

/** What it says of each cell. */
export interface ShareAnswer extends Pick<Outcome, 'result' | 'multiple'> {
  readonly title: string;
  /** The function that was asked over HTTP. */
  readonly by?: string | undefined;
  readonly when: Cell['when'];
  readonly isWrong: boolean;
}

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    processes: { type: 'string', default: String(availableParallelism()) },
    resume: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});
const { all, only, seed, trace, resume } = values;
const shares = Number(values.processes);
const started = Date.now();
const answers: ShareAnswer[] = [];
const known = resume !== undefined && existsSync(resume) ? passedIn(readFileSync(resume, 'utf8')) : [];

function passedIn(text: string): ShareAnswer[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as ShareAnswer).filter(({ isWrong }) => !isWrong);
}

async function runShare(share: number): Promise<number> {
  const child = fork(join(import.meta.dirname, 'share.ts'));
  child.on('message', (answer) => {
    answers.push(answer as ShareAnswer);
    if (resume !== undefined) appendFileSync(resume, `${JSON.stringify(answer)}\n`);
  });
  child.send({ selection: { all, only, seed }, share, shares, trace, known } satisfies ShareTask);
  const [code] = await once(child, 'exit');
  return code ?? 1;
}

const codes = await Promise.all(Array.from({ length: shares }, (_, share) => runShare(share)));

const summary = (among: readonly ShareAnswer[], ...results: readonly ShareAnswer['result'][]) => {
  const count = (test: (answer: ShareAnswer) => boolean) => among.filter(test).length;
  const most = Math.max(0, ...among.map(({ multiple }) => multiple)).toFixed(1);
  return [
    among.length,
    ...results.map((is) => count(({ result }) => result === is)),
    count(({ isWrong }) => isWrong),
    most,
  ];
};
const MOST = 'requests at most, times as many';
const WHENS = { first: 'at the first request', middle: 'at a middle one', last: 'at the last', always: 'at all' };
const conversions = answers.filter(({ by }) => by === undefined);
const questions = Map.groupBy(answers, ({ by }) => by);
const lines = [
  ...table(
    ['a fault', 'cells', 'converted', 'failed by name', 'wrong', MOST],
    Object.entries(WHENS).flatMap(([is, title]) => {
      const those = conversions.filter(({ when }) => when === is);
      return those.length > 0 ? [[title, ...summary(those, 'done', 'failed by name')]] : [];
    }),
  ),
  '',
  ...table(
    ['asked over HTTP', 'cells', 'answered', 'refused by name', 'cut off', 'wrong', MOST],
    [...questions].flatMap(([by, all]) =>
      by === undefined ? [] : [[`\`${by}\``, ...summary(all, 'done', 'failed by name', 'cut off')]],
    ),
  ),
];
const seconds = Math.round((Date.now() - started) / 1000);
process.stdout.write(`${lines.join('\n')}\n${answers.length} cells in ${seconds} s\n`);
const isDone = codes.every((code) => code === 0) && !answers.some(({ isWrong }) => isWrong);
process.exitCode = isDone ? 0 : 1;
const title = all ? 'whole matrix' : 'core of the matrix';
if (isDone && only === undefined) await report(targetKind === 'ours' ? title : `${title} on ${targetKind}`, lines);
