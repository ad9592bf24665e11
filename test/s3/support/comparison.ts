import { LAXITIES } from '../laxities.ts';
import { addressOf } from './citations.ts';
import { measures } from './measures.ts';
import type { Results, RuleResult } from './results.ts';

const TITLES = { ours: 'unqcow’s local S3', ceph: 'Ceph RADOS Gateway 16.2', swift: 'OpenStack Swift 2.30' } as const;

const cellText = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
const nameOf = ({ group, name }: RuleResult): string => `${group}: ${name}`;
const link = ({ cites }: RuleResult): string => `[${cites}](${addressOf(cites)})`;

/** Why we differ where both real servers agree. */
const reasonOf = ({ name }: RuleResult): string => LAXITIES[name]?.because ?? '';

function cell({ rules }: Results, rule: RuleResult): string {
  const found = rules.find(({ group, name }) => group === rule.group && name === rule.name);
  if (found === undefined) return 'not run';
  if (found.failure !== undefined) return 'FAILS';
  return found.instead ?? 'yes';
}

/** The rules that some server does not keep, as a Markdown table. What many cells say stands once, in notes below it. */
export function tableOf(results: readonly Results[]): string {
  const [first] = results;
  const different = (first?.rules ?? []).filter((rule) => results.some((result) => cell(result, rule) !== 'yes'));
  const header = ['rule', 'AWS', ...results.map(({ kind }) => kind), 'why ours does not, where both do'];
  const rows = different.map((rule) => [
    nameOf(rule),
    link(rule),
    ...results.map((result) => cell(result, rule)),
    reasonOf(rule),
  ]);
  const notes = recurring(rows.flatMap((row) => row.slice(2)));
  const noted = rows.map((row) => row.map((text) => (notes.includes(text) ? `note ${notes.indexOf(text) + 1}` : text)));
  const table = [header, header.map(() => '---'), ...noted].map((row) => `| ${row.map(cellText).join(' | ')} |`);
  return [...table, '', ...notes.map((text, i) => `${i + 1}. ${text}`)].join('\n');
}

/** What is said more than three times, but for short things. */
function recurring(texts: readonly string[]): string[] {
  const counts = Map.groupBy(texts, (text) => text);
  return [...counts].flatMap(([text, all]) => (all.length > 3 && text.length > 20 ? [text] : []));
}

/** How many rules each server keeps. */
function countsOf(results: readonly Results[]): string {
  return results
    .map(({ kind, rules }) => {
      const kept = rules.filter(({ instead, failure }) => instead === undefined && failure === undefined).length;
      return `| ${TITLES[kind]} | ${kept} | ${rules.length} |`;
    })
    .join('\n');
}

/** The whole document. */
export function documentOf(results: readonly Results[]): string {
  const [first] = results;
  const kept = (first?.rules ?? []).filter((rule) => results.every((result) => cell(result, rule) === 'yes'));
  const groups = Map.groupBy(kept, ({ group }) => group);
  const lists = [...groups].map(
    ([group, rules]) =>
      `**${group}**\n\n${rules.map((rule) => `- ${cellText(rule.name)} (${link(rule)})`).join('\n')}\n`,
  );
  return `# What S3 servers do

Made by \`npm run test:s3\` from a run of the conformance suite in \`test/s3\` against each server; do not edit. Every rule
is one that AWS documents, on the page that it links to. Nothing here was run against AWS itself.

| server | rules kept | of |
| --- | --- | --- |
${countsOf(results)}

Rules that a server is known not to keep are run on it too, and must fail there: the table stays true.

## What unqcow does about it

${measures()}

The pipeline is run on Ceph and on Swift too (\`npm run test:ceph\`, \`npm run test:swift\`), and so are the core's faults, at the first request of every
kind, for conversions and for questions over HTTP (\`npm run test:faults:ceph\`, \`npm run test:faults:swift\`): [reliability.md](reliability.md#faults-of-the-store).

## Where they differ

${tableOf(results)}

## What all of them do

${lists.join('\n')}`;
}
