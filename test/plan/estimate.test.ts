import { describe, expect, it } from 'vitest';
import { type Mould, simulate } from '../../bin/simulation.ts';
import { AWS_MODEL } from '../../lib/plan/aws-model.ts';
import { estimate, estimateWhole, loadOf, type Work } from '../../lib/plan/estimate.ts';
import type { Part } from '../../lib/plan/parts.ts';
import { PLAN_LIMITS, S3_LIMITS } from '../../lib/plan/s3-limits.ts';
import { GiB, MiB, TiB } from '../../lib/units.ts';

const CELL = PLAN_LIMITS.dataPart;
const { lambda, s3, stepFunctions } = AWS_MODEL;

const data = (number: number, stored = CELL / 2): Part => {
  return { kind: 'data', number, start: (number - 1) * CELL, end: number * CELL, stored };
};
const work = (changes: Partial<Work> = {}): Work => ({
  diskSize: 4 * CELL,
  planned: { requests: 3, bytes: 200_000 },
  shares: [
    [data(1), data(2)],
    [data(3), data(4)],
  ],
  compression: 'deflate',
  workers: 2,
  memory: lambda.memoryPerCore,
  ...changes,
});

const MOULD: Mould = {
  virtual: TiB,
  allocated: 0.5,
  run: GiB,
  ratio: 0.45,
  compression: 'deflate',
  workers: 400,
  memory: lambda.memoryPerCore,
};

describe('an estimate', () => {
  it('counts the bytes and requests of its parts', () => {
    const zero: Part = { kind: 'zero', number: 5, start: 4 * CELL, end: 12 * CELL };
    const { bytes, requests } = estimate(work({ shares: [...work().shares, [zero]] }));
    expect(bytes).toEqual({ read: 2 * CELL, uploaded: 4 * CELL, copied: 8 * CELL });
    // Of each data part its tables, and 32 MiB in reads of 8 MiB; the plan's own, the pin, the object, three receipts.
    expect(requests.get).toBe(4 * (1 + 4) + (3 + 1) + 2 + 3);
    // A part each; plan.json and items.jsonl; create and complete; one page of parts.
    expect(requests.put).toBe(5 + 2 + 2 + 1);
  });

  it('takes a part’s time from the network, for both ways', () => {
    expect(loadOf(data(1), 'deflate').network).toBe((1.5 * CELL) / lambda.bytesPerSecond);
  });

  it('is half as long with twice the workers, but for what cannot be shared, and costs the same Lambda time', () => {
    const shares = Array.from({ length: 64 }, (_, i) => [data(2 * i + 1), data(2 * i + 2)]);
    const [few, many] = [4, 8].map((workers) => estimate(work({ shares, workers })));
    expect((few?.seconds.convert ?? 0) / (many?.seconds.convert ?? 1)).toBeGreaterThan(1.8);
    expect(many?.lambdaSeconds).toBeCloseTo((few?.lambdaSeconds ?? 0) + 4 * lambda.coldStartSeconds, 6);
  });

  it('charges for every Lambda second, request, transition and stored byte', () => {
    const made = estimate(work());
    const gib = lambda.memoryPerCore / GiB;
    expect(made.dollars.lambda).toBeCloseTo(
      made.lambdaSeconds * gib * lambda.dollarsPerGiBSecond + 4 * lambda.dollarsPerInvocation,
      12,
    );
    expect(made.dollars.requests).toBeCloseTo(
      made.requests.get * s3.dollarsPerGet + made.requests.put * s3.dollarsPerPut,
      12,
    );
    expect(made.transitions).toBe(6 + 2 * 2);
    expect(made.dollars.transitions).toBeCloseTo(10 * stepFunctions.dollarsPerTransition, 12);
    expect(made.dollars.storagePerMonth).toBeCloseTo(((4 * CELL) / 1e9) * 0.023, 12);
  });

  it('of a disk that one worker makes alone moves all of its bytes through it, and copies none', () => {
    const whole = estimateWhole({ ...work(), diskSize: 200 * MiB, stored: 60 * MiB });
    expect(whole.bytes).toEqual({ read: 60 * MiB, uploaded: 200 * MiB, copied: 0 });
    // Planned twice; tables and eight reads of up to 8 MiB; three looks at the destination.
    expect(whole.requests.get).toBe(2 * 3 + (1 + 8) + 3);
    // 13 parts of 16 MiB, created, recorded and completed; and where it goes.
    expect(whole.requests.put).toBe(13 + 3 + 1);
    expect(whole.seconds.total).toBe(whole.seconds.plan + whole.seconds.convert);
    expect(whole.seconds.convert).toBeGreaterThan((260 * MiB) / lambda.bytesPerSecond);
    expect(estimateWhole({ ...work(), diskSize: 16 * MiB, stored: 0 }).requests.put).toBe(2);
    expect(whole.transitions).toBe(5);
  });

  it('waits for S3’s request rate where workers would outrun it', () => {
    const copy = (number: number): Part => ({
      kind: 'zero',
      number,
      start: number * CELL,
      end: number * CELL + 5 * MiB,
    });
    const shares = Array.from({ length: 10_000 }, (_, i) => [copy(i + 1)]);
    const { seconds } = estimate(work({ shares, workers: 10_000 }));
    expect(seconds.convert).toBeGreaterThan(10_000 / s3.putsPerSecond);
  });

  it('gets its workers no faster than Lambda gives them', () => {
    const shares = Array.from({ length: 3_000 }, (_, i) => [data(i + 1)]);
    const [some, all] = [1_000, 3_000].map((workers) => estimate(work({ shares, workers })).seconds.convert);
    expect(all).toBeGreaterThan(2 * lambda.rampSeconds - 10);
    expect(some).toBeLessThan(20);
  });
});

describe('the thresholds of a plan, by the model', () => {
  const seconds = (part: Part) => {
    const { network, waiting } = loadOf(part, 'deflate');
    return Math.max(network, waiting);
  };
  const range = { number: 1, start: 0, end: CELL };

  it('copy what can be copied: it is faster, and needs no more requests', () => {
    const [moved, copied] = [data(1, CELL), { kind: 'copy' as const, ...range, host: CELL }];
    expect(seconds(copied)).toBeLessThan(seconds(moved));
    expect(loadOf(copied, 'deflate').put).toBe(loadOf(moved, 'deflate').put);
    expect(loadOf(copied, 'deflate').get).toBe(0);
  });

  it('copy zeros, also against the mere upload of them', () => {
    expect(seconds({ kind: 'zero', ...range })).toBeLessThan(seconds(data(1, 0)));
  });

  it('join copies up to 512 MiB: more would save less than a thousandth of a cent a GiB, and make the longest wait longer', () => {
    const perGiB = (size: number) => (GiB / size) * s3.dollarsPerPut;
    expect(perGiB(PLAN_LIMITS.maxCopyPart) - perGiB(S3_LIMITS.maxPart)).toBeLessThan(0.00001);
    expect(S3_LIMITS.maxPart / s3.copyBytesPerSecond).toBeGreaterThan(
      9 * (PLAN_LIMITS.maxCopyPart / s3.copyBytesPerSecond),
    );
  });

  it('cut data into 64 MiB: no slower by a tenth than 32 or 256 MiB, and dearer than the latter by 4 cents a TiB at most', () => {
    const cut = (cell: number) => {
      const count = (512 * GiB) / cell;
      const parts = Array.from({ length: count }, (_, i) => data(i + 1)).map((part) => ({
        ...part,
        start: (part.number - 1) * cell,
        end: part.number * cell,
        stored: 0.45 * cell,
      })) as Part[];
      const per = Math.max(1, Math.floor((768 * MiB) / cell));
      const shares = Array.from({ length: Math.ceil(count / per) }, (_, i) => parts.slice(i * per, (i + 1) * per));
      return estimate(work({ diskSize: TiB, shares, workers: 400 }));
    };
    const [small, chosen, large] = [32 * MiB, CELL, 256 * MiB].map(cut) as [Result, Result, Result];
    expect(chosen.seconds.total).toBeLessThanOrEqual(Math.min(small.seconds.total, large.seconds.total) * 1.1);
    // What four parts of 256 MiB would need in memory costs more than their fewer requests save.
    expect(chosen.dollars.total).toBeLessThan(large.dollars.total + 0.04);
    expect(chosen.dollars.total).toBeLessThan(small.dollars.total - 0.02);
  });
});
type Result = ReturnType<typeof estimate>;

describe('a simulated conversion', () => {
  it('of 1 TiB, half of it allocated, deflate, takes 400 workers at most 60 s and $0.40', () => {
    const { estimate: made } = simulate(MOULD);
    expect(made.seconds.total).toBeLessThanOrEqual(60);
    expect(made.dollars.total).toBeLessThanOrEqual(0.4);
    expect(made.bytes.uploaded).toBe(TiB / 2);
  });

  it('of 16 TiB, a tenth allocated, takes them at most 180 s', () => {
    expect(simulate({ ...MOULD, virtual: 16 * TiB, allocated: 0.1 }).estimate.seconds.total).toBeLessThanOrEqual(180);
  });

  it('of 48 TiB fits 10,000 parts, and its items fit a state', () => {
    const { parts, shares } = simulate({ ...MOULD, virtual: 48 * TiB, allocated: 0.1, run: 8 * GiB });
    expect(parts.length).toBeLessThanOrEqual(S3_LIMITS.maxParts);
    for (const share of shares) {
      expect(JSON.stringify(share).length).toBeLessThanOrEqual(PLAN_LIMITS.maxItemJson + 2);
    }
  });

  it('of a plain disk moves no byte that S3 could copy', () => {
    const { estimate: made, parts } = simulate({ ...MOULD, virtual: 64 * GiB, ratio: 1, allocated: 0 });
    expect(parts.map(({ kind }) => kind)).not.toContain('data');
    expect(made.bytes).toEqual({ read: 0, uploaded: 0, copied: 64 * GiB });
  });
});
