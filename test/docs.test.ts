import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ErrorCodes, WarningCodes } from '../lib/errors.ts';

const rows = readFileSync('docs/errors.md', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `'));

const SOURCES = ['lib', 'functions', 'bin'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
);
const code = SOURCES.filter((file) => file.endsWith('.ts') && file !== 'lib/errors.ts')
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n');

describe('the table of codes', () => {
  it.each([...Object.keys(ErrorCodes), ...Object.keys(WarningCodes)])('has %s since something gives it', (each) => {
    expect(code).toContain(`'${each}'`);
  });
});

describe('docs/errors.md', () => {
  it.each(Object.entries(ErrorCodes))('lists %s as the table has it', (code, { status, retryable, means }) => {
    expect(rows).toContain(`| \`${code}\` | ${status} | ${retryable ? 'yes' : 'no'} | ${means} |`);
  });

  it.each(Object.entries(WarningCodes))('lists the warning %s as the table has it', (code, means) => {
    expect(rows).toContain(`| \`${code}\` | ${means} |`);
  });

  it('lists nothing else', () => {
    expect(rows).toHaveLength(Object.keys(ErrorCodes).length + Object.keys(WarningCodes).length);
  });
});
