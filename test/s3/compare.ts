/**
 * Runs the conformance suite against ours, Ceph RADOS Gateway and OpenStack Swift, prints where they differ, and makes
 * `docs/s3-compatibility.md` of it.
 *
 *     node test/s3/compare.ts [KIND]...
 *
 * With kinds (ours, ceph, swift) it runs only these, prints, and leaves the document alone. Ends with 1 if a rule fails
 * that `laxities.ts` does not account for. Takes some minutes; Ceph and Swift need root, and apt if they are missing.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documentOf, tableOf } from './support/comparison.ts';
import { KINDS, type Results, resultsOf, suiteFiles } from './support/results.ts';

const root = join(import.meta.dirname, '../..');

/** How to run a command with a server of each kind. */
const WITH: Readonly<Record<(typeof KINDS)[number], readonly string[]>> = {
  ours: [],
  ceph: ['sh', 'test/support/ceph.sh'],
  swift: ['sh', 'test/support/swift.sh'],
};

/** Runs the suite on one server. Its output goes to ours. */
async function run(kind: (typeof KINDS)[number], dir: string): Promise<Results> {
  const report = join(dir, `${kind}.json`);
  const files = await suiteFiles();
  const vitest = ['vitest', 'run', '--reporter=json', `--outputFile=${report}`, ...files];
  const [command = '', ...parameters] = [...WITH[kind], ...vitest];
  process.stderr.write(`${kind}: ${files.length} files\n`);
  const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}` };
  const child = spawn(command, parameters, { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] });
  await once(child, 'close');
  const text = await readFile(report, 'utf8').catch(() => {
    throw new Error(`the suite made no report for ${kind}`);
  });
  return resultsOf(kind, JSON.parse(text));
}

const wanted = process.argv.slice(2);
const kinds = KINDS.filter((kind) => wanted.length === 0 || wanted.includes(kind));
const dir = await mkdtemp(join(tmpdir(), 'unqcow-s3-compare-'));
try {
  const results: Results[] = [];
  for (const kind of kinds) results.push(await run(kind, dir));
  process.stdout.write(`${tableOf(results)}\n`);
  const failed = results.flatMap(({ kind, rules }) =>
    rules.flatMap(({ failure, group, name }) =>
      failure === undefined ? [] : `${kind}: ${group} ${name}\n  ${failure}`,
    ),
  );
  if (failed.length > 0) process.stdout.write(`\nNot accounted for:\n${failed.join('\n')}\n`);
  if (wanted.length === 0 && failed.length === 0)
    await writeFile(join(root, 'docs/s3-compatibility.md'), documentOf(results));
  process.exitCode = failed.length === 0 ? 0 : 1;
} finally {
  await rm(dir, { recursive: true });
}
