import { parseArgs } from 'node:util';
import { campaign } from './campaign.ts';

/** `npm run fuzz -- --count N --seed S`: exits 1 if it finds a defect. `--from` tries again from a case's number on. */
const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    workers: { type: 'string', default: '2' },
    keep: { type: 'string', default: '.unqcow/fuzz' },
    verbose: { type: 'boolean', default: false },
  },
});

const say = (...words: unknown[]) => process.stdout.write(`${words.join(' ')}\n`);
const seed = Number(values.seed);
const started = Date.now();
let tried = 0;
const { outcomes, codes, findings } = await campaign({
  seed,
  count: Number(values.count),
  from: Number(values.from),
  workers: Number(values.workers),
  keep: values.keep,
  onVerdict(each, { outcome, code = '', finding }) {
    tried += 1;
    if (values.verbose) say(each.number, each.seed, outcome, code);
    if (finding)
      say(`case ${each.number} of seed ${seed} (${each.seed}): ${finding}\n  ${JSON.stringify(each.damage)}`);
    if (!values.verbose && tried % 500 === 0) say(`${tried} cases`);
  },
});

for (const [what, count] of [...outcomes, ...codes].sort()) say(`${String(count).padStart(7)}  ${what}`);
say(`${tried} cases of seed ${seed} in ${Math.round((Date.now() - started) / 1000)} s, ${findings.length} findings`);
if (findings.length > 0) say(`kept in ${values.keep}: each with its damage in case.json`);
process.exitCode = findings.length > 0 ? 1 : 0;
