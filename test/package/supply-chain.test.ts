import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { advisoriesIn } from './advisories.ts';

const run = promisify(execFile);

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
}

let locked: [path: string, entry: Locked][];
let manifest: Record<'dependencies' | 'devDependencies' | 'optionalDependencies' | 'scripts', Record<string, string>>;
beforeAll(async () => {
  const { packages } = JSON.parse(await readFile('package-lock.json', 'utf8')) as { packages: Record<string, Locked> };
  locked = Object.entries(packages).filter(([path]) => path !== '');
  manifest = JSON.parse(await readFile('package.json', 'utf8'));
});

const nameOf = (path: string) => path.replace(/^.*node_modules\//, '');

/** Licences that ask for no more than to be named with what they cover. */
const DEPLOYED = ['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'MIT-0'];
/** Of tools, which are used and not passed on. */
const TOOLS = [
  ...DEPLOYED,
  '(MIT AND Zlib)',
  '(MIT OR CC0-1.0)',
  '(MIT OR GPL-3.0-or-later)',
  'MIT OR Apache-2.0',
  'MPL-2.0',
  'PSF-2.0',
  'Python-2.0',
];

describe('the lockfile', () => {
  it('has the checksum of every package', () => {
    expect(locked.length).toBeGreaterThan(100);
    expect(locked.filter(([, { integrity = '' }]) => !/^sha512-/.test(integrity)).map(([path]) => path)).toEqual([]);
  });

  it('takes every package from the registry: none from a URL, a repository or a folder', () => {
    expect(locked.filter(([, { resolved, link }]) => resolved !== undefined || link).map(([path]) => path)).toEqual([]);
  });

  it('has what the manifest asks for, which names exact versions', () => {
    const { dependencies, devDependencies, optionalDependencies } = manifest;
    const versions = new Map(locked.map(([path, { version }]) => [path, version]));
    for (const [name, wanted] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
      const exact = wanted.replace(/^npm:.*@/, '');
      expect(exact, name).toMatch(/^\d+\.\d+\.\d+$/);
      expect(versions.get(`node_modules/${name}`), name).toBe(exact);
    }
  });

  it('brings to a deployment only what has a licence that we know to be permissive', () => {
    const deployed = locked.filter(([, { dev }]) => !dev);
    expect(deployed.filter(([, { license = '' }]) => !DEPLOYED.includes(license)).map(([path]) => path)).toEqual([]);
  });

  it('brings to a developer only what has a licence that we know', () => {
    expect(locked.filter(([, { license = '' }]) => !TOOLS.includes(license)).map(([path]) => path)).toEqual([]);
  });

  it('brings to a deployment nothing that runs when it is installed, but for Node itself', () => {
    const running = locked.filter(([, { dev, hasInstallScript }]) => !dev && hasInstallScript);
    expect(running.map(([path]) => nameOf(path))).toEqual([]);
  });
});

describe('npm run sbom', () => {
  it('lists exactly what is deployed', async () => {
    const { stdout } = await run('npm', ['run', '--silent', 'sbom'], { maxBuffer: 2 ** 26 });
    const { bomFormat, components } = JSON.parse(stdout) as { bomFormat: string; components: { purl: string }[] };
    expect(bomFormat).toBe('CycloneDX');
    const purlOf = ([path, { version }]: [string, Locked]) => `pkg:npm/${nameOf(path).replace('@', '%40')}@${version}`;
    const deployed = locked.filter(([, { dev }]) => !dev).map(purlOf);
    expect(new Set(components.map(({ purl }) => purl))).toEqual(new Set(deployed));
  });
});

describe('advisories', () => {
  const advisory = { name: 'a', severity: 'high', title: 'a can be made to hang', url: 'https://example.com/1' };

  it('count once, however many packages they reach us by', () => {
    const vulnerabilities = { a: { via: [advisory] }, b: { via: ['a', advisory] }, c: { via: ['b'] } };
    expect(advisoriesIn({ vulnerabilities })).toEqual([advisory]);
  });

  it('are none where nobody could be asked', () => {
    expect(advisoriesIn({ statusCode: 405 })).toEqual([]);
  });
});
