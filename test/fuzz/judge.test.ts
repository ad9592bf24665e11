import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MiB } from '../../lib/units.ts';
import type { Case } from './cases.ts';
import { judge } from './judge.ts';
import { WatchedWorker } from './watched-worker.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-judge-'));
});
afterAll(() => rm(folder, { recursive: true }));

const caseOf = (...edits: [at: number, hex: string][]): Case => ({
  number: 1,
  seed: 'bytes v3',
  file: 'disk',
  damage: { edits: edits.map(([at, hex]) => ({ at, hex, what: 'by hand' })) },
});
const L2_ENTRY = 0x4000;

/** Judges an image, having done something to what we made of it before QEMU has its turn. */
async function judged(each: Case, meddle: (out: string) => Promise<unknown> = async () => undefined) {
  const place = await mkdtemp(join(folder, 'case-'));
  return judge(place, each, async (phase) => {
    if (phase === 'theirs') await meddle(join(place, 'out'));
  });
}

describe('the judge', () => {
  it.each([
    ['equal', []],
    ['equal once mended', [[48, 'ff']]],
    ['refused by both', [[L2_ENTRY, '8000000000005200']]],
    ['refused by us, proven', [[L2_ENTRY, '8000000001000000']]],
    ['refused by us', [[L2_ENTRY, '8000000000003000']]],
    [
      'unbounded',
      [
        [24, '00000000ffffffff'],
        [36, '00001000'],
        [8, '00'],
      ],
    ],
  ] as [string, [number, string][]][])('says %s where that is so', async (outcome, edits) => {
    expect(await judged(caseOf(...edits))).toMatchObject({ outcome });
  });

  it('lets a bitmap’s own table be damaged, which QEMU opens no image with, since check finds it', async () => {
    const table = { ...caseOf([1_075_716, '00005000']), seed: 'feature bitmaps-small-clusters' };
    expect(await judged(table)).toMatchObject({ outcome: 'equal once mended' });
  });

  it('finds a byte that is wrong', async () => {
    const { finding } = await judged(caseOf(), async (out) => {
      const [name = ''] = await readdir(out);
      const file = await open(join(out, name), 'r+');
      await file.write(Buffer.of(0x5a), 0, 1, 12_345);
      await file.close();
    });
    expect(finding).toMatch(/wrong bytes.* 12345 /);
  });

  it('finds a file that was left behind', async () => {
    expect((await judged(caseOf(), (out) => writeFile(join(out, 'x.part'), ''))).finding).toMatch(/left behind/);
  });
});

describe('the one that watches', () => {
  /** What does not hang has time enough on the busiest machine. */
  const watching = async (script: string, milliseconds = 60_000) => {
    const path = join(folder, 'worker.mjs');
    const phase = "process.send({ kind: 'phase', phase: 'ours' });";
    await writeFile(path, `process.on('message', () => { ${phase} ${script} });`);
    const worker = new WatchedWorker(folder, { milliseconds, bytes: 300 * MiB }, path);
    const verdict = await worker.try(caseOf());
    worker.close();
    return verdict.finding;
  };

  it('finds what hangs', async () => {
    expect(await watching('for (;;);', 3000)).toMatch(/^hang/);
  });

  it.each([
    [/^crash: 7/, 'process.exit(7);'],
    [/^crash.*oops/s, "throw new Error('oops');"],
    [/^crash: SIGKILL/, "process.kill(process.pid, 'SIGKILL');"],
    [/^memory/, 'globalThis.all = Buffer.alloc(400 * 2 ** 20, 1); setInterval(() => {}, 1000);'],
  ])(
    'finds %s',
    async (finding, script) => {
      expect(await watching(script)).toMatch(finding);
    },
    60_000,
  );
});
