import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LAXITIES } from '../laxities.ts';
import type { Citation } from './citations.ts';
import type { RuleMeta } from './rule.ts';

/** The servers that one machine can run, ours first. */
export const KINDS = ['ours', 'ceph', 'swift'] as const;

/** What became of one rule on one server. */
export interface RuleResult {
  readonly group: string;
  readonly name: string;
  readonly cites: Citation;
  /** What the server does instead, if we know it to be other. */
  readonly instead: string | undefined;
  /** The first line of the error, if the rule did not hold and nobody expected that. */
  readonly failure: string | undefined;
}

export interface Results {
  readonly kind: (typeof KINDS)[number];
  readonly rules: readonly RuleResult[];
}

/** What vitest's JSON report says, as far as it matters here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly status: string;
      readonly failureMessages?: readonly string[];
      readonly meta?: { readonly rule?: RuleMeta };
    }[];
  }[];
}

/** The rules of a report, in the order of the suite. */
export function resultsOf(kind: Results['kind'], report: Report): Results {
  const files = report.testResults.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const rules = files.flatMap(({ assertionResults }) =>
    assertionResults.flatMap(({ ancestorTitles, status, failureMessages = [], meta }) => {
      if (meta?.rule === undefined) return [];
      const { name, cites } = meta.rule;
      const failure = status === 'passed' ? undefined : (failureMessages[0]?.split('\n')[0] ?? status);
      return { group: ancestorTitles.join(' '), name, cites, instead: LAXITIES[name]?.[kind], failure };
    }),
  );
  return { kind, rules };
}

/** The files with rules in them: paths from the project's root. */
export async function suiteFiles(): Promise<string[]> {
  const folder = join(import.meta.dirname, '..');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.test.ts')).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return names.filter((_, i) => /^import .*\/rule\.ts'/m.test(texts[i] ?? '')).map((name) => `test/s3/${name}`);
}
