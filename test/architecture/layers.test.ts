import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

/** The violations that the linter finds in these imports, each planted in a file of its own: `file specifier`. */
function refused(imports: readonly (readonly [file: string, specifier: string])[]): Set<string> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'unqcow-layers-')));
  copyFileSync('biome.json', join(root, 'biome.json'));
  const planted = new Map(
    imports.map(([file, specifier], i) => [file.replace('planted', `planted-${i}`), `${file} ${specifier}`]),
  );
  [...planted.keys()].forEach((file, i) => {
    mkdirSync(join(root, dirname(file)), { recursive: true });
    writeFileSync(join(root, file), `export { a } from '${imports[i]?.[1]}';\n`);
  });
  const args = [
    'lint',
    '--only=style/noRestrictedImports',
    '--vcs-enabled=false',
    '--max-diagnostics=none',
    '--reporter=github',
    '.',
  ];
  const { stdout } = spawnSync('biome', args, { cwd: root, encoding: 'utf8' });
  rmSync(root, { recursive: true });
  const files = [...stdout.matchAll(/file=([^,]+)/g)].map(([, file = '']) => relative(root, file));
  return new Set(files.map((file) => planted.get(file) ?? file));
}

const LAYERS = ['source', 'format', 'plan', 'chunk', 'sink', 'jobs'] as const;
type Layer = (typeof LAYERS)[number];

/** The table in docs/architecture.md. */
const MAY: Readonly<Record<Layer, readonly Layer[]>> = {
  source: [],
  format: ['source'],
  plan: ['format'],
  chunk: ['source', 'format', 'plan'],
  sink: [],
  jobs: ['source', 'format', 'plan', 'chunk', 'sink'],
};

const BETWEEN = LAYERS.flatMap((from) =>
  LAYERS.filter((to) => to !== from).map(
    (to) => [`lib/${from}/planted.ts`, `../${to}/x.ts`, MAY[from].includes(to)] as const,
  ),
);

const AROUND = LAYERS.flatMap((layer) => [
  [`lib/${layer}/planted.ts`, '../errors.ts', true] as const,
  [`lib/${layer}/planted.ts`, '../../functions/x.ts', false] as const,
  [`lib/${layer}/planted.ts`, '../../infra/local/x.ts', false] as const,
]);

const ABOVE = [
  ['lib/planted.ts', './source/x.ts', false],
  ['functions/planted.ts', '../lib/jobs/x.ts', true],
  ['functions/planted.ts', '../infra/x.ts', false],
  ['functions/planted.ts', '../bin/x.ts', false],
  ['functions/planted.ts', './_console/page.ts', true],
  ['functions/_console/planted.ts', '../../lib/units.ts', true],
  ['functions/_console/app/planted.ts', '../../../lib/errors.ts', true],
  ['functions/_console/app/planted.ts', '../../../lib/format/x.ts', false],
  ['functions/_console/app/planted.ts', '../../_shared/x.ts', false],
  ['functions/_console/app/planted.ts', '../../../infra/x.ts', false],
  ['infra/local/planted.ts', '../../functions/x.ts', true],
  ['infra/local/planted.ts', '../../lib/units.ts', true],
  ['infra/local/planted.ts', '../../lib/jobs/x.ts', false],
  ['infra/local/planted.ts', '../../bin/x.ts', false],
  ['bin/planted.ts', '../lib/jobs/x.ts', true],
  ['bin/planted.ts', '../infra/local/x.ts', true],
  ['bin/planted.ts', '../infra/x.ts', false],
  ['bin/planted.ts', '../functions/x.ts', false],
] as const;

const SDK = [
  ['lib/source/s3-planted.ts', '@aws-sdk/client-s3', true],
  ['lib/sink/s3-planted.ts', '@aws-sdk/client-s3', true],
  ['functions/_shared/planted.ts', '@aws-sdk/client-sfn', true],
  ['infra/local/planted.ts', '@aws-sdk/client-s3', true],
  ['lib/source/planted.ts', '@aws-sdk/client-s3', false],
  ['lib/sink/planted.ts', '@aws-sdk/lib-storage', false],
  ['lib/format/planted.ts', '@aws-sdk/client-s3', false],
  ['lib/plan/planted.ts', '@aws-sdk/client-s3', false],
  ['lib/chunk/planted.ts', '@aws-sdk/client-s3', false],
  ['lib/jobs/planted.ts', '@aws-sdk/client-s3', false],
  ['functions/planted.ts', '@aws-sdk/client-s3', false],
  ['bin/planted.ts', '@aws-sdk/client-s3', false],
] as const;

describe('the layer table', () => {
  const all = [...BETWEEN, ...AROUND, ...ABOVE, ...SDK];
  const violations = refused(all.map(([file, specifier]) => [file, specifier]));

  it.each(all)('%s importing %s: %s', (file, specifier, allowed) => {
    expect(violations.has(`${file} ${specifier}`)).toBe(!allowed);
  });

  it('names every layer there is', () => {
    const folders = readdirSync('lib', { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).sort()).toEqual([...LAYERS].sort());
  });
});
