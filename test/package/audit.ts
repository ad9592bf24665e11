/**
 * Asks the registry for advisories on what is installed, and says which of them matter: `node audit.ts [--strict]`.
 *
 * Ends with 1 if a package that is deployed has one that is not explained, or with `--strict`, as in CI that reaches a
 * registry with advisories, if nobody could be asked. Of packages for tests alone it only tells.
 */
import { execFile } from 'node:child_process';
import { parseArgs } from 'node:util';
import { type AuditReport, advisoriesIn } from './advisories.ts';

/** Advisories that do not concern us, by their URL, and why not. */
const EXPLAINED: Readonly<Record<string, string>> = {};

/** `npm audit` ends with 1 where it found anything: what counts is what it says. */
function audit(...args: string[]): Promise<AuditReport> {
  return new Promise((resolve, reject) => {
    execFile('npm', ['audit', '--json', ...args], { maxBuffer: 2 ** 26 }, (error, stdout) => {
      try {
        resolve(JSON.parse(stdout) as AuditReport);
      } catch {
        reject(error);
      }
    });
  });
}

const { values } = parseArgs({ options: { strict: { type: 'boolean', default: false } } });
const [deployed, all] = [await audit('--omit=dev'), await audit()];
if (!deployed.vulnerabilities || !all.vulnerabilities) {
  process.stdout.write(`Not audited: the registry tells no advisories (${deployed.statusCode ?? 'no answer'}).\n`);
  process.exitCode = values.strict ? 1 : 0;
} else {
  const found = advisoriesIn(deployed);
  const open = found.filter(({ url }) => !Object.hasOwn(EXPLAINED, url));
  for (const { name, severity, title, url } of found) {
    process.stdout.write(`${name}: ${severity}: ${title} ${url}${EXPLAINED[url] ? `: ${EXPLAINED[url]}` : ''}\n`);
  }
  const others = advisoriesIn(all).length - found.length;
  process.stdout.write(`${open.length} advisories to deal with; ${others} on packages for tests and builds alone\n`);
  process.exitCode = open.length === 0 ? 0 : 1;
}
