import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { KiB } from '../../lib/units.ts';
import { remove, unpack } from './support/sandbox.ts';
import { FUNCTIONS } from './support/world.ts';

/** What somebody waits for is small; the rest have a bound to be noticed by. */
const LARGEST: Readonly<Record<string, number>> = { 'get-image': 600_000 };
const OTHERS = 700_000;
/** Loads an artefact's module in a process of its own, and prints milliseconds. */
const LOAD = 'const began = performance.now(); require(process.argv[1]); console.log(performance.now() - began)';

describe.each([...FUNCTIONS.keys()])('the bundle of %s', (name) => {
  const folder = unpack(name);
  afterAll(() => remove(folder));
  const file = join(folder, 'functions', `${name}.cjs`);
  const source = readFileSync(file, 'utf8');

  it('is one file within its budget, and loads with nothing beside it', () => {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.map((entry) => entry.name)).toEqual([`${name}.cjs`]);
    const milliseconds = Number(
      execFileSync(process.execPath, ['-e', LOAD, file], { cwd: folder, env: {}, encoding: 'utf8' }),
    );
    process.stdout.write(`${name}: ${Math.round(source.length / KiB)} KiB, loaded in ${Math.round(milliseconds)} ms\n`);
    expect(milliseconds).toBeGreaterThan(0);
    expect(Buffer.byteLength(source)).toBeLessThanOrEqual(LARGEST[name] ?? OTHERS);
  });

  it('has nothing of this machine or its tests in it', () => {
    expect(source).not.toContain(process.cwd());
    expect(source).not.toContain('local-secret');
  });
});
