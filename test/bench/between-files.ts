import { execFileSync } from 'node:child_process';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MiB } from '../../lib/units.ts';
import { qemuConvert, unqcow } from './contenders.ts';
import type { Corpus, ImageName } from './corpus.ts';
import { assertWithinCeiling, type Command, ceiling, measured, type Taken } from './measured.ts';

/** One image from file to file. Runs of the same index followed one another. */
export interface FileRow {
  readonly image: ImageName | 'empty 1 TiB';
  readonly ours: readonly Taken[];
  readonly theirs: readonly Taken[];
  /** What the raw disk takes on the file system, in bytes. */
  readonly oursStored: number;
  readonly theirsStored: number;
}

export interface FileBench {
  readonly corpus: Corpus;
  readonly images: readonly ImageName[];
  readonly runs: number;
  readonly scratch: string;
  readonly note: (line: string) => void;
}

/** Measures image by image against `qemu-img convert -W -m 8`, in turn. Both write a file that was not there. */
export async function betweenFiles({ corpus, images, runs, scratch, note }: FileBench): Promise<FileRow[]> {
  const empty = join(scratch, 'empty.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', empty, '1T']);
  const paths = [...images.map((name) => [name, corpus.images[name]] as const), ['empty 1 TiB', empty] as const];
  const [ours, theirs] = [join(scratch, 'ours.raw'), join(scratch, 'theirs.raw')];
  const rows: FileRow[] = [];
  for (const [image, path] of paths) {
    const pairs: [Taken, Taken][] = [];
    const run = async (command: Command, raw: string) => {
      await rm(raw, { force: true });
      return measured([command]);
    };
    for (let i = 0; i <= runs; i += 1) {
      const pair: [Taken, Taken] = [await run(unqcow(path, ours), ours), await run(qemuConvert(path, theirs), theirs)];
      assertWithinCeiling(`files, ${image}`, pair[0], ceiling(4 * MiB));
      if (i === 0) execFileSync('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'raw', ours, theirs]);
      else pairs.push(pair); // the first pair warmed the page cache
    }
    note(`files, ${image}: ${pairs.map(([a, b]) => `${a.wall.toFixed(2)}/${b.wall.toFixed(2)}`).join(' ')}`);
    const [oursStored, theirsStored] = [(await stat(ours)).blocks * 512, (await stat(theirs)).blocks * 512];
    rows.push({ image, ours: pairs.map(([a]) => a), theirs: pairs.map(([, b]) => b), oursStored, theirsStored });
    await Promise.all([ours, theirs].map((file) => rm(file, { force: true })));
  }
  return rows;
}
