import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { convert } from './commands/convert.ts';
import { info } from './commands/info.ts';
import { local } from './commands/local.ts';
import { map } from './commands/map.ts';
import { EXIT, reportRefusal } from './report.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const json = () => new Option('--json', 'the answer as JSON on stdout, a refusal as JSON on stderr');
const many = (value: string, before: string[] = []) => [...before, value];

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('Not a whole number above 0.');
  return number;
}

const program = new Command('unqcow')
  .description('Reads QCOW and QCOW2 disk images where they lie: paths, or s3://bucket/key[?versionId=…].')
  .version(version)
  .exitOverride()
  .showHelpAfterError('(unqcow --help says more)')
  .addHelpText(
    'after',
    `
Examples:
  unqcow info s3://vms/debian-12.qcow2
  unqcow convert s3://vms/debian-12.qcow2 s3://raw/debian-12.raw
  unqcow convert disk.qcow2 disk.raw

S3 is found as the AWS SDKs find it: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3 …
Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`,
  );

program.command('info').argument('<image>').description('say what is in an image').addOption(json()).action(info);

program
  .command('map')
  .argument('<image>')
  .description('say what each stretch of the disk is made of, and where it lies')
  .option('--snapshot <name|id>', 'the disk as it was in that snapshot')
  .option('--allow <prefix>', 'where files that an image names may be opened', many)
  .option('--map <name=location>', 'where a file that an image names lies', many)
  .option('--backing-format <[name=]format>', 'the format of a backing file that does not state it', many)
  .addOption(json())
  .action(map);

program
  .command('convert')
  .argument('<image>')
  .argument('<target>')
  .description('write the disk that an image means, raw')
  .option('--snapshot <name|id>', 'the disk as it was in that snapshot')
  .option('--passphrase-file <[name=]file>', 'the passphrase of an encrypted image', many)
  .option('--allow <prefix>', 'where files that an image names may be opened', many)
  .option('--map <name=location>', 'where a file that an image names lies', many)
  .option('--backing-format <[name=]format>', 'the format of a backing file that does not state it', many)
  .option('--no-overwrite', 'refuse a target that exists')
  .option('--no-copy-parts', 'between two places in S3: read and upload what S3 could copy by itself')
  .option('--no-zero-parts', 'to S3: upload zeros, even with --work')
  .addOption(
    new Option('--work <s3://bucket/prefix/>', 'to S3: where an object of zeros may be kept, to copy zeros from').env(
      'UNQCOW_WORK',
    ),
  )
  .option('--workers <n>', 'parts made at the same time, 64 MiB of memory each', wholeNumber, 4)
  .option('--output-limit <bytes>', 'refuse disks that are larger', wholeNumber)
  .option('-q, --quiet', 'no progress')
  .addOption(json())
  .action(convert);

program
  .command('local')
  .description('run the whole stack on this machine: S3, HTTP API, upload trigger, state machine')
  .option('--port <n>', 'of S3; the HTTP API and Step Functions take the next two', wholeNumber, 4570)
  .option('--dir <folder>', 'where its data lies', '.unqcow')
  .action(local);

// `unqcow map … | head` is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.refused);
});

try {
  await program.parseAsync();
} catch (error) {
  const isUsage =
    error instanceof Error && 'exitCode' in error && 'code' in error && String(error.code).startsWith('commander.');
  if (isUsage) process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  else {
    reportRefusal(error, process.argv.includes('--json'));
    process.exitCode = EXIT.refused;
  }
}
