import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { MiB } from '../../lib/units.ts';
import { SECRET, type Seed } from './seeds.ts';

/** What `qemu-img` did. It may also take too long, or want to write too much: then it says nothing. */
export type Answer =
  | { readonly kind: 'done'; readonly stdout: string }
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'gave up'; readonly why: string };

const TIMEOUT = 10_000;
const MAX_FILE = 256 * MiB;

function qemuImg(cwd: string, args: readonly string[]): Promise<Answer> {
  const limited = [`--fsize=${MAX_FILE}`, 'qemu-img', ...args];
  return new Promise((resolve) => {
    execFile(
      'prlimit',
      limited,
      { cwd, timeout: TIMEOUT, maxBuffer: 64 * MiB, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        const why = stderr.trim();
        if (!error) resolve({ kind: 'done', stdout });
        else if (error.killed || /File too large/.test(why)) resolve({ kind: 'gave up', why });
        else resolve({ kind: 'refused', why: why || `${error.signal ?? error.code}` });
      },
    );
  });
}

/** Converts the image, or the seed's snapshot, to a raw file. It runs where the image is: data files are named from there. */
export function qemuConvert(image: string, target: string, { format, encrypted, snapshot }: Seed): Promise<Answer> {
  const from = encrypted
    ? [
        '--object',
        SECRET,
        '--image-opts',
        `driver=${format},file.driver=file,file.filename=${image},encrypt.key-secret=s`,
      ]
    : ['-f', format, ...(snapshot ? ['-l', `snapshot.name=${snapshot}`] : []), image];
  return qemuImg(dirname(image), ['convert', '-t', 'unsafe', '-O', 'raw', ...from, target]);
}

export function qemuInfo(image: string, { format }: Seed): Promise<Answer> {
  return qemuImg(dirname(image), ['info', '-f', format, '--output=json', image]);
}

export function qemuMap(image: string, { format }: Seed): Promise<Answer> {
  return qemuImg(dirname(image), ['map', '-f', format, '--output=json', image]);
}
