import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pMap from 'p-map';
import { type Case, caseOf, writeCase } from './cases.ts';
import type { Verdict } from './judge.ts';
import { WatchedWorker } from './watched-worker.ts';

export interface Campaign {
  /** Equal seeds make equal cases. */
  readonly seed: number;
  readonly count: number;
  /** The names of the good images; all of them, if not said. */
  readonly seeds?: string[] | undefined;
  /** The first case's number. */
  readonly from?: number;
  readonly workers?: number;
  /** Where images that show a defect are kept, each with what was done to it. */
  readonly keep?: string;
  readonly onVerdict?: (each: Case, verdict: Verdict) => void;
}

export interface Findings {
  /** How many cases ended how. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** The same for those that were refused, by code. */
  readonly codes: ReadonlyMap<string, number>;
  readonly findings: readonly (Case & { readonly finding: string })[];
}

/** Damages good images in `count` ways, and holds what we make of each against what `qemu-img` makes of it. */
export async function campaign({
  seed,
  count,
  seeds,
  from = 0,
  workers = 2,
  keep,
  onVerdict,
}: Campaign): Promise<Findings> {
  const folder = await mkdtemp(join(tmpdir(), 'unqcow-fuzz-'));
  const idle: WatchedWorker[] = [];
  const outcomes = new Map<string, number>();
  const codes = new Map<string, number>();
  const findings: (Case & { finding: string })[] = [];
  const one = async (number: number) => {
    const each = await caseOf(seed, number, seeds);
    const worker = idle.pop() ?? new WatchedWorker(folder);
    const verdict = await worker.try(each);
    idle.push(worker);
    add(outcomes, verdict.outcome);
    if (verdict.code) add(codes, `${verdict.outcome}: ${verdict.code}`);
    if (verdict.finding !== undefined) {
      findings.push({ ...each, finding: verdict.finding });
      if (keep) await keepCase(join(keep, `seed-${seed}-case-${number}`), each, verdict.finding);
    }
    onVerdict?.(each, verdict);
  };
  try {
    await pMap(numbers(from, count), one, { concurrency: workers });
    return { outcomes, codes, findings: findings.sort((a, b) => a.number - b.number) };
  } finally {
    for (const worker of idle) worker.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function* numbers(from: number, count: number): Generator<number> {
  for (let number = from; number < from + count; number += 1) yield number;
}

const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);

async function keepCase(folder: string, each: Case, finding: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await writeCase(folder, each);
  await writeFile(join(folder, 'case.json'), `${JSON.stringify({ ...each, finding }, undefined, 2)}\n`);
}
