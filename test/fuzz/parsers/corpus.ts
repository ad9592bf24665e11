import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';

const FOLDER = join(import.meta.dirname, '../corpus');
/** What is kept of a target, in stored bytes and inputs: those that reached something new first. */
const MAX_STORED = 2_000;
const MAX_INPUTS = 40;

const fileOf = (target: string) => join(FOLDER, `${target}.txt`);

/** Inputs that once reached code that others did not: one a line, deflated, in base64. */
export async function readCorpus(target: string): Promise<Uint8Array[]> {
  const text = await readFile(fileOf(target), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => new Uint8Array(inflateRawSync(Buffer.from(line, 'base64'))));
}

export async function writeCorpus(target: string, inputs: readonly Uint8Array[]): Promise<void> {
  const stored = inputs
    .map((input) => deflateRawSync(input, { level: 9 }))
    .filter(({ length }) => length <= MAX_STORED);
  const lines = stored.slice(0, MAX_INPUTS).map((each) => `${each.toString('base64')}\n`);
  await mkdir(FOLDER, { recursive: true });
  if (lines.length > 0) await writeFile(fileOf(target), lines.join(''));
}
