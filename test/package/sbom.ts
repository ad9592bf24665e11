/**
 * Prints what a deployment is made of, as a CycloneDX document. `npm sbom --omit dev` leaves out what tests need as well,
 * and so the lockfile says what stays.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

interface Sbom {
  readonly components: readonly { readonly 'bom-ref': string }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

const args = ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'];
const { stdout } = await promisify(execFile)('npm', args, { maxBuffer: 2 ** 26 });
const all = JSON.parse(stdout) as Sbom;
const { packages } = JSON.parse(await readFile('package-lock.json', 'utf8')) as {
  packages: Record<string, { version: string; dev?: boolean }>;
};
const deployed = Object.entries(packages).flatMap(([path, { version, dev }]) =>
  dev ? [] : [`${path === '' ? 'unqcow' : path.replace(/^.*node_modules\//, '')}@${version}`],
);
const refs = new Set(deployed);
const stays = (ref: string) => refs.has(ref);
const document = {
  ...all,
  components: all.components.filter((component) => stays(component['bom-ref'])),
  dependencies: all.dependencies
    .filter(({ ref }) => stays(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(stays) })),
};
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
