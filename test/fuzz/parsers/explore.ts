import { writeFileSync } from 'node:fs';
import { readCorpus, writeCorpus } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { Explorer } from './explorer.ts';
import { FORMAT_TARGETS } from './format-targets.ts';
import { dice } from './mutate-bytes.ts';
import { TEXT_TARGETS } from './text-targets.ts';

/** What `main.ts` hears of the work: that it goes on, and at last what came of it. */
export type Report =
  | { readonly kind: 'alive' }
  | {
      readonly kind: 'done';
      readonly rows: readonly { readonly target: string; readonly executions: number; readonly corpus: number }[];
      readonly reached: number;
      readonly findings: readonly { readonly target: string; readonly input: string; readonly error: string }[];
    };

/** Not what lies under `node_modules`. */
const OURS = /^(?!.*node_modules).*\/(lib|functions)\//;

/** Functions bring the whole SDK along, in which V8 counts, too: parsers are quicker without. */
async function openTargets(group: string) {
  if (group === 'parsers') return { targets: [...FORMAT_TARGETS, ...TEXT_TARGETS], close: async () => undefined };
  const [{ openHandlerWorld }, { handlerTargets }] = await Promise.all([
    import('../../support/handler-world.ts'),
    import('./handler-targets.ts'),
  ]);
  const world = await openHandlerWorld();
  return { targets: await handlerTargets(world), close: world.close };
}

const [, , group = 'parsers', seconds = '60', seed = '1', current = '', save = ''] = process.argv;
const { targets, close } = await openTargets(group);
const coverage = new Coverage(OURS);
await coverage.start();
const explorers: [string, Explorer][] = [];
for (const target of targets) {
  const known = await readCorpus(target.name);
  explorers.push([target.name, new Explorer(target, known, coverage, dice(Number(seed)))]);
}
for (const [, explorer] of explorers) await explorer.begin();

const TURN = 2_000;
const end = Date.now() + Number(seconds) * 1000;
while (Date.now() < end) {
  for (const [name, explorer] of explorers) {
    const turnEnds = Math.min(end, Date.now() + TURN);
    while (Date.now() < turnEnds) {
      await explorer.step((inputs) => {
        writeFileSync(
          current,
          JSON.stringify({ name, inputs: inputs.map((each) => Buffer.from(each).toString('base64')) }),
        );
      });
      process.send?.({ kind: 'alive' } satisfies Report);
    }
  }
}
if (save !== '') {
  for (const [name, { found }] of explorers) {
    const known = await readCorpus(name);
    await writeCorpus(name, [...known, ...found]);
  }
}
const report: Report = {
  kind: 'done',
  rows: explorers.map(([target, { executions, corpusSize }]) => ({ target, executions, corpus: corpusSize })),
  reached: coverage.size,
  findings: explorers.flatMap(([, { findings }]) =>
    findings.map(({ target, input, error }) => ({
      target,
      input: Buffer.from(input).toString('base64'),
      error: error.stack ?? `${error}`,
    })),
  ),
};
process.send?.(report);
await close();
process.exit();
