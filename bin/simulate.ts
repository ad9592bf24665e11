import { Command } from 'commander';
import { toJson } from '../lib/format/json.ts';
import { countByKind } from '../lib/plan/parts.ts';
import { GiB, MiB, TiB } from '../lib/units.ts';
import { amount } from './arguments.ts';
import { describeEstimate } from './estimate-text.ts';
import { print } from './report.ts';
import { type Mould, simulate } from './simulation.ts';

interface Flags extends Mould {
  readonly json?: boolean;
}

await new Command('simulate')
  .description('plan a disk that nobody has, and forecast its conversion on AWS by the cost model')
  .option('--virtual <size>', 'of the disk', amount, TiB)
  .option('--allocated <share>', 'of the disk', amount, 0.5)
  .option('--run <size>', 'of each allocated run; runs lie evenly over the disk', amount, GiB)
  .option('--ratio <share>', 'stored bytes of each allocated one; 1 is plain', amount, 0.45)
  .option('--compression <method>', 'deflate or zstd', 'deflate')
  .option('--workers <n>', 'Lambdas at once', amount, 200)
  .option('--memory <size>', 'of each', amount, 1769 * MiB)
  .option('--json', 'the estimate as JSON')
  .action((flags: Flags) => {
    const { parts, shares, estimate } = simulate(flags);
    const counts = countByKind(parts);
    if (flags.json) print(toJson({ parts: counts, shares: shares.length, estimate }, 4));
    else {
      print(`parts     ${counts.data} data, ${counts.zero} zero, ${counts.copy} copy, in ${shares.length} shares`);
      print(describeEstimate(estimate));
    }
  })
  .parseAsync();
