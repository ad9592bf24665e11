/** Converts by the command line's own code, then holds still, so that its memory can be looked at: `hold.ts IMAGE TARGET FILE`. */
import { Command } from 'commander';
import { convert } from '../../bin/commands/convert.ts';

const [image = '', target = '', file = ''] = process.argv.slice(2);
const flags = { copyParts: 'on', zeroParts: 'copy', workers: 1, quiet: true } as const;
await convert(image, target, { ...flags, passphraseFile: [file] }, new Command());
globalThis.gc?.();
process.stdout.write('held\n');
setInterval(() => {}, 60_000);
