import { S3ServiceException } from '@aws-sdk/client-s3';
import { afterAll, expect, it } from 'vitest';
import { LAXITIES } from '../laxities.ts';
import { targetKind } from '../target.ts';
import type { Citation } from './citations.ts';

/** What a run's JSON report keeps of each rule: `compare.ts` makes its table from these. */
export interface RuleMeta {
  readonly name: string;
  readonly cites: Citation;
}

declare module 'vitest' {
  interface TaskMeta {
    rule?: RuleMeta;
  }
}

const seen: string[] = [];

afterAll(() => {
  if (seen.length > 0)
    process.stdout.write(
      `\n${targetKind} is laxer than AWS, or other:\n${seen.map((line) => `  - ${line}\n`).join('')}`,
    );
});

/**
 * A rule that AWS documents, and where. On a server that {@link LAXITIES} lists for it, it runs too, and must fail to
 * hold; these are listed at the end of each file's run.
 */
export function rule(name: string, cites: Citation, run: () => Promise<void>): void {
  const laxity = LAXITIES[name]?.[targetKind];
  const meta = { rule: { name, cites } };
  if (laxity === undefined) {
    it(name, { meta }, run);
    return;
  }
  it(`${name} (not on ${targetKind}: ${laxity})`, { meta }, async () => {
    const holds = await run().then(
      () => true,
      (error: unknown) => {
        if (isTheServers(error)) return false;
        throw error;
      },
    );
    expect(holds, `${targetKind} now holds to this rule: take it out of laxities.ts`).toBe(false);
    seen.push(`${name}: ${laxity}`);
  });
}

/** Only what the server did may count: a wrong answer, a refusal, no answer, or one that is no HTTP. */
function isTheServers(error: unknown): boolean {
  if (error instanceof S3ServiceException) return true;
  if (!(error instanceof Error)) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  return ['AssertionError', 'TimeoutError'].includes(error.name) || code.startsWith('HPE_');
}
