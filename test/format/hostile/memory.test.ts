import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MiB } from '../../../lib/units.ts';
import type { ConvertedCase } from '../../support/convert-each.ts';
import { imageBytes } from '../../support/hostile.ts';
import { qcow1Bytes } from '../../support/hostile-v1.ts';
import { writeFiles } from '../../support/images.ts';
import { QCOW1_CONVERTED, QCOW1_REFUSED } from '../qcow1/hostile-rows.ts';
import { FILE_GROUPS, GROUPS } from './all-rows.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-memory-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Writes every odd and damaged image there is. */
async function everyCase(): Promise<ConvertedCase[]> {
  const rows = Object.values(GROUPS).flatMap((group) => Object.entries(group));
  const version1 = Object.entries({ ...QCOW1_CONVERTED, ...QCOW1_REFUSED });
  const images = [
    ...rows.map(([name, { image, snapshot }]) => ({ name, bytes: imageBytes(image), options: { snapshot } })),
    ...version1.map(([name, { image }]) => ({ name: `version 1 ${name}`, bytes: qcow1Bytes(image), options: {} })),
  ];
  const alone = images.map(async ({ bytes, ...each }, i): Promise<ConvertedCase> => {
    const path = join(folder, `${i}`);
    await writeFile(path, bytes);
    return { ...each, path };
  });
  const withFiles = Object.values(FILE_GROUPS).flatMap((group) =>
    Object.entries(group).map(async ([name, { files, ...row }]) => ({
      name: `with files ${name}`,
      path: await writeFiles(folder, files),
      ...row,
    })),
  );
  return Promise.all([...alone, ...withFiles]);
}

describe('the memory that it takes to convert', () => {
  it('every odd and damaged image is at most 128 MiB more than a sound one needs, and a few parts where the disk is large', async () => {
    const cases = await everyCase();
    // What a process once had hides what is less: this one has 64 MiB of data, written by 4 MiB at a time.
    const ordered = [...cases.filter(({ name }) => name !== LARGE), ...cases.filter(({ name }) => name === LARGE)];
    const raised = await raisedBy(ordered);
    expect(raised.map(([name]) => name)).toEqual(ordered.map(({ name }) => name));
    const [, large = 0] = raised.pop() ?? [];
    const total = raised.reduce((sum, [, bytes]) => sum + bytes, 0);
    // The windows that all reads share are 128 MiB, taken as they are first needed.
    expect(total, JSON.stringify(raised.filter(([, bytes]) => bytes > MiB))).toBeLessThan(128 * MiB);
    expect(large).toBeGreaterThan(4 * MiB);
    expect(large).toBeLessThan(64 * MiB);
  });
});

const LARGE = 'amp_shared';

/** By how many bytes each raised the most memory that a process of their own ever had. */
async function raisedBy(cases: readonly ConvertedCase[]): Promise<[name: string, bytes: number][]> {
  const child = spawn(process.execPath, ['test/support/convert-each.ts', folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(cases));
  return JSON.parse(await text(child.stdout));
}
