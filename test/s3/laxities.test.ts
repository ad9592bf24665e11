import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as sdk from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { LAXITIES } from './laxities.ts';

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
const source = files.map((name) => readFileSync(join(import.meta.dirname, name), 'utf8')).join('\n');
const found = [...source.matchAll(/rule\(\s*(['`])(.*?)\1,\s*(?:'(.*?)'|([A-Z]+)),/gs)];
/** A name in a template, `with a wrong ${name} is …`, stands for any text. */
const rules = found.map(
  ([, , name = '']) =>
    new RegExp(
      `^${name
        .split(/\$\{.*?\}/)
        .map(RegExp.escape)
        .join('.*')}$`,
    ),
);

describe('a laxity', () => {
  it('is that of a rule', () => {
    expect(rules.length).toBeGreaterThan(150);
    expect(Object.keys(LAXITIES).filter((name) => !rules.some((rule) => rule.test(name)))).toEqual([]);
  });

  it('of both real servers says why ours is as AWS documents it', () => {
    const unexplained = Object.entries(LAXITIES).filter(
      ([, { ceph, swift, because }]) => ceph !== undefined && swift !== undefined && because === undefined,
    );
    expect(unexplained.map(([name]) => name)).toEqual([]);
  });

  it('belongs to one rule only, unless its name has a variable in it', () => {
    const names = found.map(([, , name = '']) => name);
    const twice = names.filter((name, i) => names.indexOf(name) !== i);
    expect(twice.filter((name) => name in LAXITIES)).toEqual([]);
  });
});

it('every operation that a rule cites is one of S3', () => {
  const cited = [...source.matchAll(/'API_(\w+)'/g)].map(([, name]) => name ?? '');
  const unknown = [...new Set(cited)].filter((name) => !(`${name}Command` in sdk));
  expect(unknown).toEqual([]);
});
