import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { LAXITIES } from './laxities.ts';

const source = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
  .join('\n');
/** A name in a template, `with a wrong ${name} is …`, stands for any text. */
const rules = [...source.matchAll(/rule\(\s*(['`])(.*?)\1,/gs)].map(
  ([, , name = '']) =>
    new RegExp(
      `^${name
        .split(/\$\{.*?\}/)
        .map(RegExp.escape)
        .join('.*')}$`,
    ),
);

it('every laxity is that of a rule', () => {
  expect(rules.length).toBeGreaterThan(60);
  expect(Object.keys(LAXITIES).filter((name) => !rules.some((rule) => rule.test(name)))).toEqual([]);
});
