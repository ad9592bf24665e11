import { type Command, InvalidArgumentError, Option } from 'commander';
import { GiB, KiB, MiB, TiB } from '../lib/units.ts';

/** An option that may be given more than once. */
export const many = (value: string, before: string[] = []): string[] => [...before, value];

export function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('Not a whole number above 0.');
  return number;
}

/** `1TiB`, `50%`, `512`. */
export function amount(text: string): number {
  const [, digits = '', unit = ''] = /^([\d.]+)(B|KiB|MiB|GiB|TiB|%)?$/.exec(text) ?? [];
  const factor = { B: 1, KiB, MiB, GiB, TiB, '%': 0.01 }[unit] ?? 1;
  if (digits === '' || Number.isNaN(Number(digits))) throw new InvalidArgumentError('Not a size, a share or a number.');
  return Number(digits) * factor;
}

/** `1TiB`, `512`: whole bytes. */
export function size(text: string): number {
  const bytes = text.endsWith('%') ? Number.NaN : amount(text);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new InvalidArgumentError('Not a size, as 1TiB or 1048576.');
}

/** Where to listen. By default also at 0, which takes any port that is free. */
export const portNumber =
  (least = 0, most = 65_535) =>
  (text: string): number => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw new InvalidArgumentError(`Not a port from ${least} to ${most}.`);
  };

/** Not that of a version or an alias, which says nothing of what its executions are called. */
export function stateMachineArn(text: string): string {
  if (/^arn:[\w-]+:states:[\w-]+:\d{12}:stateMachine:[^:]+$/.test(text)) return text;
  throw new InvalidArgumentError('Not the ARN of a state machine.');
}

export const json = () => new Option('--json', 'the answer as JSON on stdout, a refusal as JSON on stderr');

/**
 * Which disk of an image is meant, and what else may be opened for it.
 *
 * @param when Begins each description, where they hold only then.
 */
export function diskOptions(command: Command, { when = '', passphrases = true } = {}): Command {
  command.option('--snapshot <name|id>', `${when}the disk as it was in that snapshot`);
  if (passphrases) {
    command.option('--passphrase-file <[name=]file>', `${when}the passphrase of an encrypted image`, many);
  }
  return command
    .option('--allow <prefix>', `${when}where files that an image names may be opened`, many)
    .option('--map <name=location>', `${when}where a file that an image names lies`, many)
    .option('--backing-format <[name=]format>', `${when}the format of a backing file that does not state it`, many);
}

/** What a command's help ends with: commands to copy, and what else there is to know. */
export function examples(lines: readonly string[], more = ''): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}${more && `\n\n${more}`}`;
}
