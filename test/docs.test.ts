import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CURES } from '../lib/cures.ts';
import { type ErrorCode, ErrorCodes, FindingCodes, WarningCodes } from '../lib/errors.ts';
import { VERSION } from '../lib/version.ts';

const rows = readFileSync('docs/errors.md', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `'));

const SOURCES = ['lib', 'functions', 'bin'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
);
const code = SOURCES.filter((file) => file.endsWith('.ts') && !['lib/errors.ts', 'lib/cures.ts'].includes(file))
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n');

describe('the table of codes', () => {
  it.each([...Object.keys(ErrorCodes), ...Object.keys(WarningCodes), ...Object.keys(FindingCodes)])(
    'has %s since something gives it',
    (each) => {
      expect(code).toContain(`'${each}'`);
    },
  );
});

describe('docs/errors.md', () => {
  it.each(Object.entries(ErrorCodes))('lists %s as the table has it', (code, { status, retryable, means }) => {
    const cure = CURES[code as ErrorCode];
    expect(rows).toContain(`| \`${code}\` | ${status} | ${retryable ? 'yes' : 'no'} | ${means} | ${cure} |`);
  });

  it.each(Object.entries(WarningCodes))('lists the warning %s as the table has it', (code, means) => {
    expect(rows).toContain(`| \`${code}\` | ${means} |`);
  });

  it.each(Object.entries(FindingCodes))('lists the finding %s as the table has it', (code, { counts, means }) => {
    expect(rows).toContain(`| \`${code}\` | ${counts === 'ownCorruptions' ? 'own' : counts} | ${means} |`);
  });

  it('lists nothing else', () => {
    const tables = [ErrorCodes, WarningCodes, FindingCodes];
    expect(rows).toHaveLength(tables.reduce((count, table) => count + Object.keys(table).length, 0));
  });
});

describe('docs/conformance.md', () => {
  const behaviours = readFileSync('docs/conformance.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| behaviour '));

  it.each(behaviours)('names a test that there is: %s', (line) => {
    const [, file = '', name = ''] =
      /^\| .* \| (?:\d{3}(?:, \d{3})*|–) \| `(test\/[^`]+)` › `([^`]+)` \|$/.exec(line) ?? [];
    expect(file, 'is a row of three cells').not.toBe('');
    expect(readFileSync(file, 'utf8')).toContain(name);
  });

  it('has behaviours of every kind', () => {
    expect(behaviours.length).toBeGreaterThan(60);
  });
});

describe('README.md', () => {
  const rows =
    readFileSync('README.md', 'utf8')
      .split('## What it reads')[1]
      ?.match(/^\| .+ \| .+ \| (.+) \|$/gm) ?? [];
  const named = rows.flatMap((row) => row.match(/`test\/[^`]+`/g) ?? []).map((each) => each.slice(1, -1));

  it('names a test for each row of what is read', () => {
    expect(rows.length).toBeGreaterThan(8);
    for (const row of rows.slice(1)) expect(row).toMatch(/`test\/[^`]+` \|$/);
  });

  it.each(named)('names %s, which there is', (name) => {
    expect(existsSync(name.endsWith('/') ? name : `${name}.test.ts`)).toBe(true);
  });
});

describe('the version that raw objects name', () => {
  it('is the package’s', () => {
    expect(JSON.parse(readFileSync('package.json', 'utf8'))).toMatchObject({ version: VERSION });
  });
});
