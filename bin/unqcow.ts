import tab from '@bomb.sh/tab/commander';
import { Command, CommanderError, Option } from 'commander';
import { UnqcowError } from '../lib/errors.ts';
import manifest from '../package.json' with { type: 'json' };
import { diskOptions, examples, json, many, portNumber, size, stateMachineArn, wholeNumber } from './arguments.ts';
import { completePaths } from './complete-paths.ts';
import { SCRIPTS } from './complete-scripts.ts';
import { KEEPING_OPTIONS } from './keeping-flags.ts';
import { commandOf } from './lazy.ts';
import { EXIT, note, print, reportRefusal } from './report.ts';
import { stopAll } from './stopping.ts';
import { TERMS_OPTIONS } from './terms-flags.ts';
import { UsageError } from './usage.ts';

/** What is said goes nowhere: nothing is to go on, nor to stay behind. `unqcow map … | head` is no failure. */
function onBrokenOutput({ code, message }: NodeJS.ErrnoException): void {
  if (code !== 'EPIPE') {
    note(`unqcow: stdout: ${message}`);
    process.exitCode = EXIT.refused;
  }
  if (!stopAll(new UnqcowError('ABORTED', `stopped, since stdout takes nothing more: ${message}`))) process.exit();
}

const wantsJson = process.argv.includes('--json');

const program = new Command('unqcow')
  .description('Reads QCOW and QCOW2 disk images where they lie: paths, or s3://bucket/key[?versionId=…].')
  .version(manifest.version)
  .exitOverride()
  // What it would say of wrong usage is said below, as one object.
  .configureOutput(wantsJson ? { writeErr: () => undefined } : {})
  .showHelpAfterError('(unqcow --help says more)')
  .addHelpText(
    'after',
    examples(
      [
        'unqcow info disk.qcow2',
        'unqcow map disk.qcow2 --picture',
        'unqcow convert disk.qcow2 disk.raw',
        'unqcow doctor s3://vms/disk.qcow2 s3://raw/disk.raw',
        'unqcow convert s3://vms/disk.qcow2 s3://raw/disk.raw',
      ],
      `Each command's --help has more of them.
S3 is found as the AWS SDKs find it: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3 …
Colours: on terminals, unless NO_COLOR is set.
Completion: source <(unqcow complete bash); in zsh likewise, after compinit; unqcow complete fish | source.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 salvaged with losses; check has more.`,
    ),
  );

const info = program
  .command('info')
  .argument('<image>')
  .description('say what is in an image')
  .option('--probe', 'also look at the disk that it means: partitions and file systems');
diskOptions(info, { when: 'with --probe: ' })
  .addOption(json())
  .addHelpText(
    'after',
    examples([
      'unqcow info disk.qcow2',
      'unqcow info s3://vms/disk.qcow2 --json   # as qemu-img info --output=json, and more',
      'unqcow info disk.qcow2 --probe           # partitions and file systems, too',
      'unqcow info s3://vms/disk.qcow2 --request-payer   # of a bucket whose owner has readers pay',
    ]),
  )
  .action(commandOf(async () => (await import('./commands/info.ts')).info));

const map = program
  .command('map')
  .argument('<image>')
  .description('say what each stretch of the disk is made of, and where it lies');
diskOptions(map, { passphrases: false })
  .option('--picture', 'as a picture in the terminal')
  .addOption(json())
  .addHelpText(
    'after',
    examples([
      'unqcow map disk.qcow2 --picture',
      'unqcow map s3://vms/disk.qcow2 --json    # as qemu-img map --output=json',
      'unqcow map overlay.qcow2 --allow .       # with the backing file that lies beside it',
      'unqcow map overlay.qcow2 --map disk.qcow2=s3://vms/disk.qcow2   # or anywhere else',
      'unqcow map disk.qcow2 --snapshot before-upgrade',
    ]),
  )
  .action(commandOf(async () => (await import('./commands/map.ts')).map));

const check = program
  .command('check')
  .argument('<image>')
  .description('say whether the tables and refcounts of an image are sound')
  .option('--deep', 'decompress every compressed cluster, too')
  .option(
    '--memory <MiB>',
    'for counting references; a file too large for it is walked several times',
    wholeNumber,
    256,
  )
  .option('-q, --quiet', 'no progress')
  .addOption(json())
  .addHelpText(
    'after',
    examples(
      [
        'unqcow check s3://vms/disk.qcow2',
        'unqcow check disk.qcow2 --deep           # and decompress what is compressed',
        'unqcow check disk.qcow2 --json           # as qemu-img check --output=json, and more',
      ],
      'Exit codes: 0 clean, 1 not or not wholly checked, 2 corrupt or wrong usage, 3 only leaked clusters.',
    ),
  )
  .action(commandOf(async () => (await import('./commands/check.ts')).check));

const conversion = program
  .command('convert')
  .argument('<image>')
  .argument('<target>')
  .description('write the disk that an image means, raw');
diskOptions(conversion)
  .option(
    '--all-snapshots',
    'the active disk and every snapshot; {id}, {name} or {index} in the target stand for each one’s, or for "active"',
  )
  .option('--salvage', 'convert a damaged or cut-off image as far as it goes: what is lost is zeros, and is listed')
  .addOption(
    new Option('--copy-parts <on|off>', 'between two places in S3: whether S3 copies what it can by itself')
      .choices(['on', 'off'])
      .default('on'),
  )
  .addOption(
    new Option('--zero-parts <copy|upload>', 'to S3: zeros are copied from an object of zeros, or uploaded')
      .choices(['copy', 'upload'])
      .default('copy'),
  )
  .addOption(
    new Option(
      '--work <s3://bucket/prefix/>',
      'to S3: where an object of zeros is kept; without it, one lies beside the target meanwhile. With --state-machine: the deployment’s own, to show how far it is',
    ).env('UNQCOW_WORK'),
  )
  .option(
    '--state-machine <arn>',
    'convert in the cloud: start it there and follow it to its end; how far it is only --work tells',
    stateMachineArn,
  )
  .option('--key-secret <[name=]arn>', 'with --state-machine: the secret with the passphrase', many)
  .option('--detach', 'with --state-machine: start it, and do not wait')
  .option('--checksum', 'to a file: also its CRC-32, which an object has in any case')
  .option('--workers <n>', 'parts made at the same time, 64 MiB of memory each', wholeNumber, 4)
  .option('--estimate', 'do not convert: say what the conversion would take in the cloud, in time and money')
  .option('--output-limit <size>', 'refuse disks that are larger: 1TiB, or bytes', size)
  .option('-q, --quiet', 'no progress')
  .addOption(json())
  .addHelpText(
    'after',
    examples(
      [
        'unqcow convert disk.qcow2 disk.raw',
        'unqcow convert s3://vms/disk.qcow2 s3://raw/disk.raw --estimate   # time and money in the cloud',
        'unqcow convert s3://vms/disk.qcow2 s3://raw/disk.raw --tag team=vms',
        'unqcow convert overlay.qcow2 overlay.raw --allow .                # its backing file lies beside it',
        'unqcow convert disk.qcow2 before.raw --snapshot before-upgrade',
        "unqcow convert disk.qcow2 'disk-{name}.raw' --all-snapshots",
        'unqcow convert secret.qcow2 secret.raw --passphrase-file passphrase',
        'unqcow convert disk.qcow2 saved.raw --salvage                     # what of a damaged image can be had',
        'unqcow convert s3://vms/disk.qcow2 s3://raw/disk.raw --state-machine arn:aws:states:… --work s3://work/',
      ],
      'Ctrl-C stops it, and leaves nothing behind.',
    ),
  )
  .action(commandOf(async () => (await import('./commands/convert.ts')).convert));
for (const option of KEEPING_OPTIONS) conversion.addOption(option);

const doctor = program
  .command('doctor')
  .argument('[image]', 'to see whether it can be read')
  .argument('[target]', 'to see whether it can be written; nothing stays there')
  .description('check versions, credentials, endpoint, permissions and what an image needs, and say what to do');
diskOptions(doctor)
  .addOption(json())
  .addHelpText(
    'after',
    examples([
      'unqcow doctor                                     # versions, credentials, and whether S3 is reached',
      'unqcow doctor s3://vms/disk.qcow2                 # can it be read?',
      'unqcow doctor s3://vms/disk.qcow2 s3://raw/disk.raw',
      'unqcow doctor s3://vms/disk.qcow2 --request-payer',
      'unqcow doctor overlay.qcow2 overlay.raw --allow .  # is all there that it names?',
    ]),
  )
  .action(commandOf(async () => (await import('./commands/doctor.ts')).doctor));

const serve = program
  .command('serve')
  .argument('<image>')
  .description('serve the disk that an image means over HTTP, unconverted, for curl -r, qemu-img, nbdkit …');
diskOptions(serve)
  .option('--host <address>', 'to listen on: whoever reaches it can read the disk', '127.0.0.1')
  .option('--port <n>', 'to listen on; 0 takes a free one', portNumber(), 4580)
  .addHelpText(
    'after',
    examples(
      ['unqcow serve s3://vms/disk.qcow2', 'unqcow serve disk.qcow2 --snapshot before-upgrade --port 8080'],
      `Then, with the URL that it prints:
  curl -s -r 0-511 "$URL" | xxd
  qemu-img convert -f raw "$URL" disk.raw
  nbdkit -r curl url="$URL"                 # the same over NBD`,
    ),
  )
  .action(commandOf(async () => (await import('./commands/serve.ts')).serve));

program
  .command('console')
  .description('serve the web console on this machine, for an API that wants signed requests')
  .requiredOption('--api <url>', 'the HTTP API, as the deployment prints it')
  .option('--port <n>', 'to listen on; 0 takes a free one', portNumber(), 4590)
  .addHelpText('after', examples(['unqcow console --api https://….execute-api.eu-central-1.amazonaws.com/']))
  .action(commandOf(async () => (await import('./commands/console.ts')).serveConsole));

program
  .command('local')
  .description('run the whole stack on this machine: S3, HTTP API, upload trigger, state machine')
  .option('--port <n>', 'of S3; the HTTP API and Step Functions take the next two', portNumber(1, 65_533), 4570)
  .option('--dir <folder>', 'where its data lies', '.unqcow')
  .addHelpText('after', examples(['unqcow local', 'unqcow local --port 8000 --dir /var/lib/unqcow']))
  .action(commandOf(async () => (await import('./commands/local.ts')).local));

for (const command of [info, map, check, conversion, doctor, serve]) {
  for (const option of TERMS_OPTIONS) command.addOption(option);
}

// `unqcow complete bash|zsh|fish` prints the script; `--help` of it says no more than that.
const completion = tab(program);
completePaths(completion);
const setup = completion.setup.bind(completion);
completion.setup = (name, executable, shell) => {
  const script = SCRIPTS[shell];
  if (script) print(script);
  else setup(name, executable, shell);
};

process.stdout.once('error', onBrokenOutput).on('error', () => undefined);
// Who no longer listens to how far it is may still want what is made.
process.stderr.on('error', () => undefined);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (wantsJson && error.exitCode !== 0) reportRefusal(new UsageError(error.message.replace(/^error: /, '')), true);
  } else {
    process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.refused;
    reportRefusal(error, wantsJson);
  }
}
