import { S3ServiceException } from '@aws-sdk/client-s3';
import { afterAll, expect, it } from 'vitest';
import { LAXITIES } from '../laxities.ts';
import { targetKind } from '../target.ts';

const seen: string[] = [];

afterAll(() => {
  if (seen.length > 0)
    process.stdout.write(
      `\n${targetKind} is laxer than AWS, or other:\n${seen.map((line) => `  - ${line}\n`).join('')}`,
    );
});

/**
 * A rule that AWS documents. On a server that {@link LAXITIES} lists for it, it runs too, and must fail to hold; these
 * are listed at the end of each file's run.
 */
export function rule(name: string, run: () => Promise<void>): void {
  const laxity = LAXITIES[name]?.[targetKind];
  if (laxity === undefined) {
    it(name, run);
    return;
  }
  it(`${name} (not on ${targetKind}: ${laxity})`, async () => {
    const holds = await run().then(
      () => true,
      (error: unknown) => {
        // Only what the server did may count: a wrong answer, or a refusal.
        if (error instanceof S3ServiceException || (error instanceof Error && error.name === 'AssertionError'))
          return false;
        throw error;
      },
    );
    expect(holds, `${targetKind} now holds to this rule: take it out of laxities.ts`).toBe(false);
    seen.push(`${name}: ${laxity}`);
  });
}
