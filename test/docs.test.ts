import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ErrorCodes, WarningCodes } from '../lib/errors.ts';

const rows = readFileSync('docs/errors.md', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `'));

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
