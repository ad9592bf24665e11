import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export async function run(command: string, args: readonly string[]): Promise<void> {
  // Where mkfs.ext4 lies is not on everybody's PATH.
  await execute(command, args, { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
}

/** Real files that every checkout has: programs and sources, about 100 MiB. */
const FILES = ['@aws-sdk', '@biomejs', '@smithy', 'zod'].map((name) =>
  fileURLToPath(new URL(`../node_modules/${name}`, import.meta.url)),
);

/**
 * Makes an image of a 1 GiB ext4 file system with the project's own dependencies in it. Most of it is compressed; a
 * stretch of it is written again, and so lies there plain, as on a disk that was used after it was made.
 */
export async function makeImage(image: string, step: (text: string) => void): Promise<string> {
  const raw = `${image}.raw`;
  const files = `${image}.files`;
  step('making a 1 GiB ext4 file system of real files, by mkfs.ext4');
  await mkdir(files);
  await run('cp', ['-r', ...FILES, files]);
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-d', files, raw, '1G']);
  step('making a QCOW2 of it, by qemu-img: compressed clusters, plain ones, and holes');
  await run('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, image]);
  await run('dd', [`if=${raw}`, `of=${raw}.part`, 'bs=1M', 'skip=128', 'count=80', 'status=none']);
  await run('qemu-io', ['-f', 'qcow2', '-c', `write -q -s ${raw}.part 128M 80M`, image]);
  await Promise.all([raw, `${raw}.part`, files].map((path) => rm(path, { recursive: true })));
  return image;
}
