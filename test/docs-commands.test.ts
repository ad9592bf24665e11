import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalStack, startStack } from '../infra/local/stack.ts';

const run = promisify(execFile);
const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync('docs/guides').map((name) => `docs/guides/${name}`),
];

/** What pages show between backquotes and in blocks of shell. */
function shown(page: string): string[] {
  const text = readFileSync(page, 'utf8');
  const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) => block.split('\n'));
  const indented = [...text.matchAll(/^ {4,}(.*)$/gm)].map(([, line = '']) => line);
  const inline = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  return [...blocks, ...indented, ...inline].map((line) => line.trim().replace(/ {2,}#.*$/, ''));
}

const ALL = PAGES.flatMap((page) => shown(page).map((command) => [page, command] as const));
/** Commands that name real things, rather than `IMAGE` or `…`. `serve` and `local` run until Ctrl-C: other tests start them. */
const RUN = ALL.filter(([, command]) => {
  return /^bin\/unqcow (?!serve|local|console|--help)/.test(command) && !/[A-Z]{4,}|…|\[|\|/.test(command);
});
const SCRIPTS = ALL.flatMap(([page, command]) => {
  const [, name] = /^npm (?:run )?([\w:-]+)/.exec(command) ?? [];
  return name && !['install', 'ci', 'pack'].includes(name) ? [[page, name] as const] : [];
});

let folder: string;
let stack: LocalStack;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-docs-'));
  stack = await startStack({ store: { dir: folder } });
  const qemu = (...args: string[]) => run(args[0] as string, args.slice(1), { cwd: folder });
  await qemu('qemu-img', 'create', '-q', '-f', 'qcow2', 'disk.qcow2', '32M');
  await qemu('qemu-io', '-c', 'write -P 1 0 1M', 'disk.qcow2');
  await qemu('qemu-img', 'snapshot', '-c', 'before-upgrade', 'disk.qcow2');
  await qemu('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'disk.qcow2', '-F', 'qcow2', 'overlay.qcow2');
  await writeFile(join(folder, 'passphrase'), 'secret');
  const secret = ['--object', 'secret,id=s,file=passphrase', '-o', 'encrypt.format=aes,encrypt.key-secret=s'];
  await qemu('qemu-img', 'create', '-q', '-f', 'qcow2', ...secret, 'secret.qcow2', '1M');
  const client = new S3Client({ ...stack.store, forcePathStyle: true });
  const Body = readFileSync(join(folder, 'disk.qcow2'));
  for (const Bucket of ['vms', 'images']) {
    if (Bucket !== stack.buckets.images) await client.send(new CreateBucketCommand({ Bucket }));
    await client.send(new PutObjectCommand({ Bucket, Key: 'disk.qcow2', Body }));
  }
  client.destroy();
  await copyFile(join(folder, 'disk.qcow2'), join(folder, 'image.qcow2'));
}, 60_000);
afterAll(async () => {
  await stack.close();
  await rm(folder, { recursive: true });
});

describe('the commands in the docs', () => {
  it('are found', () => {
    expect(RUN.length).toBeGreaterThan(8);
    expect(SCRIPTS.length).toBeGreaterThan(5);
  });

  /** As somebody would who has unqcow on the PATH and knows where S3 is. */
  const shell = (command: string) => {
    const { endpoint, region, credentials } = stack.store;
    const env = {
      ...process.env,
      PATH: `${resolve('bin')}:${process.env.PATH}`,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    };
    return run('sh', ['-c', command], { cwd: folder, env });
  };

  it.each(RUN)('%s: %s', async (_, command) => {
    await shell(command.replace('bin/unqcow', 'unqcow'));
  });

  it.each(['', 'info', 'map', 'check', 'convert', 'doctor', 'serve', 'console', 'local'])(
    'unqcow %s --help has examples, which do what they say',
    async (name) => {
      const { stdout } = await shell(`unqcow ${name} --help`);
      const lines = [...stdout.matchAll(/^ {2}(unqcow .*)$/gm)].map(([, command = '']) => command);
      expect(lines.length).toBeGreaterThan(0);
      for (const command of lines) expect(command).toMatch(name ? new RegExp(`^unqcow ${name}\\b`) : /^unqcow \w+/);
      // These run until Ctrl-C: other tests start them.
      if (['serve', 'console', 'local'].includes(name)) return;
      for (const command of lines.filter((line) => !line.includes('…'))) await shell(command);
    },
    60_000,
  );

  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  it.each(SCRIPTS)('%s: npm run %s is a script', (_, name) => {
    expect(Object.keys(scripts)).toContain(name);
  });
});

describe('the forecasts in the guide to costs', () => {
  const rows = readFileSync('docs/guides/costs.md', 'utf8').matchAll(
    /^\| `(--virtual [^`]*)`.*?\| ([\d.]+) s \|.*\$([\d.]+) \|$/gm,
  );
  const said = [...rows].map(([, flags = '', seconds, dollars]) => [flags, Number(seconds), Number(dollars)] as const);

  it('are found', () => {
    expect(said.length).toBe(4);
  });

  it.each(said)('%s: %d s and $%d', async (flags, seconds, dollars) => {
    const { stdout } = await run(process.execPath, ['bin/simulate.ts', '--json', ...flags.split(' ')]);
    const { estimate } = JSON.parse(stdout);
    expect(Math.abs(estimate.seconds.total - seconds) / seconds).toBeLessThan(0.05);
    expect(Math.abs(estimate.dollars.total - dollars) / dollars).toBeLessThan(0.1);
  });

  it.each(['--virtual 1TiB --allocated 50%', '--virtual 16TiB --allocated 10%'])(
    'are those of ADR 5: %s --workers 400',
    (flags) => {
      const [, seconds = 0, dollars = 0] = said.find(([given]) => given === `${flags} --workers 400`) ?? [];
      const adr = readFileSync('docs/adr/0005-cost-model.md', 'utf8');
      expect(adr).toContain(`: ${seconds} s and $${dollars.toFixed(2)}.`);
    },
  );
});
