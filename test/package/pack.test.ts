import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useQemu } from '../support/use-qemu.ts';

const run = promisify(execFile);
const qemu = useQemu();
let folder: string;
let packed: { filename: string; files: { path: string }[] };

/** Makes the package, and installs it in an empty folder as anybody would. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-package-'));
  const { stdout } = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder]);
  [packed] = JSON.parse(stdout.slice(stdout.indexOf('[')));
  await writeFile(join(folder, 'package.json'), '{ "name": "app", "type": "module" }');
  await cp(await qemu.image('compressed-among-plain'), join(folder, 'disk.qcow2'));
  const options = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];
  await run('npm', ['install', ...options, join(folder, packed.filename)], { cwd: folder });
}, 300_000);
afterAll(() => rm(folder, { recursive: true }));

const node = (...args: string[]) => run(process.execPath, args, { cwd: folder });

describe('the package', () => {
  it('holds what was built, the docs, and no source or test', () => {
    const kinds = new Set(packed.files.map(({ path }) => (path.includes('/') ? path.split('/')[0] : path)));
    const texts = ['CONTRIBUTING.md', 'LICENSE', 'README.md', 'SECURITY.md'];
    expect([...kinds].sort()).toEqual([...texts, 'bin', 'dist', 'docs', 'package.json']);
    expect(packed.files.filter(({ path }) => /(?<!\.d)\.ts$/.test(path))).toEqual([]);
  });

  it('brings a command line that runs', async () => {
    const unqcow = join(folder, 'node_modules/.bin/unqcow');
    const { stdout } = await run(unqcow, ['info', '--json', 'disk.qcow2'], { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({ format: 'qcow2', filename: 'disk.qcow2' });
    await run(unqcow, ['convert', 'disk.qcow2', 'cli.raw'], { cwd: folder });
    const raw = await qemu.raw(await qemu.image('compressed-among-plain'));
    expect(await qemu.difference(join(folder, 'cli.raw'), raw)).toBeUndefined();
  });

  it('does as its guide says, example by example', async () => {
    const guide = await readFile(resolve('docs/guides/library.md'), 'utf8');
    const examples = [...guide.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code = '']) => code);
    expect(examples).toHaveLength(4);
    const said: string[] = [];
    for (const [i, code] of examples.entries()) {
      await writeFile(join(folder, `example-${i}.js`), code);
      said.push((await node(`example-${i}.js`)).stdout);
    }
    const size = (await qemu.info(join(folder, 'disk.qcow2')))['virtual-size'];
    expect(said[0]).toMatch(new RegExp(`^qcow2 ${size}n? 3\n\\d+: \\d+ bytes`));
    expect(said[1]).toBe('not bootable\n');
    expect(said[2]).toMatch(new RegExp(`^${size} [0-9a-f]{8}\n$`));
    expect(said[3]).toBe('clean 0 0\n');
  });

  it('has types that a program in TypeScript is held to', async () => {
    const program = `import { openImage, UnqcowError, type DiskImage } from 'unqcow';
      const image: DiskImage = await openImage('x', { snapshot: 'a', gate: { allow: ['/'] } });
      const bytes: Uint8Array = await image.read({ start: 0, end: 1 });
      export const codes = (error: UnqcowError) => [error.code, image.size.toFixed(), bytes.length];`;
    await writeFile(join(folder, 'program.ts'), program);
    await writeFile(join(folder, 'wrong.ts'), program.replace("snapshot: 'a'", 'snapshot: 5'));
    const flags = '--strict --noEmit --skipLibCheck --module nodenext --target es2024 --lib es2024,esnext --types node';
    const types = ['--typeRoots', resolve('node_modules/@types')];
    const tsc = (file: string) => node(resolve('node_modules/typescript/bin/tsc'), ...flags.split(' '), ...types, file);
    await tsc('program.ts');
    await expect(tsc('wrong.ts')).rejects.toMatchObject({ stdout: expect.stringContaining("Type 'number'") });
  });

  it('names the folder that it was built from nowhere', async () => {
    const built = packed.files.filter(({ path }) => path.endsWith('.js'));
    const texts = await Promise.all(
      built.map(({ path }) => readFile(join(folder, 'node_modules/unqcow', path), 'utf8')),
    );
    expect(texts.filter((text) => text.includes(dirname(resolve('package.json'))))).toEqual([]);
  });
});
