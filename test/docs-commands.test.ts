import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalStack, startStack } from '../infra/local/stack.ts';
import { MiB } from '../lib/units.ts';

const run = promisify(execFile);

/** What makes a line a command. */
const PROGRAM =
  /^(bin\/unqcow|unqcow|npm|npx|node|aws|awscurl|curl|rclone|nbdkit|nbdfuse|qemu-\w+|partx|mkdir|source|export|URL=)/;

/** `qemu-img check`, `unqcow info`: a program that is spoken of, not one that is to be run. */
const isName = (command: string) => !/ /.test(command) || /^(unqcow|qemu-img|aws s3|curl) [\w-]+$/.test(command);

/** Blocks that are indented, but nothing for a shell. */
const NO_SHELL = [/^source {2}→/, /^Plan ─/, /^fields @timestamp/, /^UNQCOW_SOURCES=/];

interface Shown {
  readonly page: string;
  readonly command: string;
}

/** What a page shows in blocks: of several commands that go together, or one a line. */
function blocksOf(page: string): string[] {
  const text = readFileSync(page, 'utf8');
  const fenced = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = '']) => block);
  const rest = text.replaceAll(/^```[\s\S]*?^```/gm, '');
  const indented = [...rest.matchAll(/(?:^ {4,}\S.*\n)+/gm)].map(([block]) => block);
  const flush = (block: string) => block.trimEnd().replaceAll(new RegExp(`^${/^ */.exec(block)?.[0]}`, 'gm'), '');
  return [...fenced, ...indented].map(flush).filter((block) => !NO_SHELL.some((each) => each.test(block)));
}
const GO_TOGETHER = /^(export|URL=|mkdir|curl|aws)/;

const inlineOf = (page: string) =>
  [...readFileSync(page, 'utf8').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code.replaceAll('\\|', '|'));

const PAGES = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md'],
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const shownOn = (page: string, commands: readonly string[]): Shown[] => commands.map((command) => ({ page, command }));
const BLOCKS = PAGES.flatMap((page) => shownOn(page, blocksOf(page)));
const TOGETHER = BLOCKS.filter(({ command }) => GO_TOGETHER.test(command));
const LINES = [
  ...BLOCKS.filter(({ command }) => !GO_TOGETHER.test(command)).flatMap(({ page, command }) =>
    shownOn(page, command.split('\n')),
  ),
  ...PAGES.flatMap((page) => shownOn(page, inlineOf(page))).filter(({ command }) => !isName(command)),
]
  .map(({ page, command }) => ({ page, command: command.trim().replace(/ {2,}#.*$/, '') }))
  .filter(({ command }) => PROGRAM.test(command));

/** What is not run here, and why. */
const EXEMPT: Readonly<Record<string, readonly RegExp[]>> = {
  'wants an AWS account': [
    /-ACCOUNT-REGION/,
    /--function-name unqcow-dev-/,
    /group-name \/aws\/lambda\/unqcow-dev-/,
    /-execution --state-machine-arn ARN /,
    /(list-map-runs|stop-execution) --execution-arn ARN/,
    /https:\/\/API\//,
    /--bucket BUCKET/,
    /--role-arn ROLE/,
    /validate-state-machine-definition/,
    /^aws secretsmanager create-secret/,
    /^npx serverless (info|remove)/,
    /^aws sso login$/,
  ],
  'asks a deployment, as the cell beside it says': [
    /^curl (-r 0-511|-sI) "\$URL" \|/,
    /^awscurl --service execute-api$/,
  ],
  'is a script of package.json, or given to one: that there is one is seen below': [/^npm (run |test)/],
  'runs until it is stopped; test/view/, test/console/ and test/cli/ start it': [
    /^bin\/unqcow (serve|local|console)\b/,
  ],
  'runs until it is stopped': [/^qemu-nbd --read-only/, /^nbdkit -r curl url="\$URL"$/],
  'is run by test/package/': [/^npm (pack|install \.)/, /^npx node file\.mjs$/],
  'is run by test/aws/, whose setup packages the service': [/^npx serverless package$/],
  'is how the lockfile is installed, which every run of the tests has behind it': [/^npm ci$/],
  'needs fish': [/^unqcow complete fish \| source$/],
  'is run by the benchmark': [/^rclone copyto/, /^qemu-img convert -W -m 8/, /^bin\/unqcow convert s3:\/\/…/],
  'speaks of options, not of a whole command': [
    /^qemu-img (convert|rebase)( -\w( [\w=]+)?)+( -b NAME)?$/,
    /^qemu-img convert .*…$/,
    /^qemu-img info --output=json$/,
  ],
  'needs an object in an archive': [/^aws s3api restore-object$/],
  'is a synopsis, with its reader’s names': [
    /^bin\/unqcow \w+ +(IMAGE|\[IMAGE\])/,
    /^bin\/unqcow convert OVERLAY TARGET/,
  ],
};
const whyNot = (command: string) => Object.keys(EXEMPT).find((why) => EXEMPT[why]?.some((each) => each.test(command)));
const RUN = LINES.filter(({ command }) => whyNot(command) === undefined);
const SCRIPTS = LINES.flatMap(({ page, command }) => {
  const [, name] = /^npm (?:run )?([\w:-]+)/.exec(command) ?? [];
  return name && !['install', 'ci', 'pack'].includes(name) ? [[page, name] as const] : [];
});

/** What is put for what the docs write, since the ports are others here, and names those of examples. */
const put = (command: string) =>
  command
    .replaceAll('http://127.0.0.1:4570', stack.store.endpoint)
    .replaceAll('http://127.0.0.1:4571', stack.apiEndpoint)
    .replaceAll('http://127.0.0.1:4572', stack.stepFunctions.endpoint)
    .replaceAll('s3://bucket/key', 's3://images/disk.qcow2')
    .replaceAll('s3://bucket/raw', 's3://raw/disk.raw')
    .replaceAll('bin/unqcow', 'unqcow')
    // A busy machine takes longer.
    .replaceAll('sleep 2', 'for i in {1..300}; do [ -s mnt/nbd ] && break; sleep 0.1; done');

let folder: string;
let stack: LocalStack;
beforeAll(async () => {
  await run('sh', ['test/view/setup.sh']);
  folder = await mkdtemp(join(tmpdir(), 'unqcow-docs-'));
  stack = await startStack({ store: { dir: folder }, secrets: { dir: join(folder, '.unqcow/secrets') } });
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  const sh = (command: string) => run('sh', ['-ec', command], { cwd: folder, env: { ...process.env, PATH } });
  await sh(`truncate -s 32M disk.img; echo 'size=20M, type=83' | sfdisk -q disk.img
    qemu-img convert -f raw -O qcow2 disk.img disk.qcow2; qemu-io -c 'write -P 1 1M 1M' disk.qcow2
    qemu-img snapshot -c before-upgrade disk.qcow2; cp disk.qcow2 image.qcow2
    qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 overlay.qcow2
    qemu-img create -q -u -f qcow2 -b /var/lib/nova/_base/0a1b -F raw nova.qcow2 32M
    printf secret > passphrase
    qemu-img create -q -f qcow2 --object secret,id=s,file=passphrase -o encrypt.format=aes,encrypt.key-secret=s secret.qcow2 1M`);
  const client = new S3Client({ ...stack.store, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: 'vms' }));
  for (const [Bucket, Key, file] of [
    ['vms', 'disk.qcow2', 'disk.qcow2'],
    ['images', 'disk.qcow2', 'disk.qcow2'],
    ['images', 'vms/debian.qcow2', 'disk.qcow2'],
    ['images', 'nova.qcow2', 'nova.qcow2'],
    ['images', 'vms/base', 'disk.img'],
  ] as const)
    await client.send(new PutObjectCommand({ Bucket, Key, Body: readFileSync(join(folder, file)) }));
  client.destroy();
}, 300_000);
afterAll(async () => {
  await stack.close();
  await rm(folder, { recursive: true });
});

/** As somebody would who has unqcow on the PATH, and knows where S3 and the API are. */
function shell(command: string) {
  const { endpoint, region, credentials } = stack.store;
  const env = {
    ...process.env,
    PATH: `${resolve('bin')}:${process.env.PATH}:/usr/sbin:/sbin`,
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: region,
    // The aws command line's version 1 wants it so.
    AWS_DEFAULT_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    API: stack.apiEndpoint,
  };
  return run('bash', ['-e', '-o', 'pipefail', '-c', command], { cwd: folder, env, timeout: 50_000 });
}

function has(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** `npm run test:clients` mounts. It takes the device, and the right to: CAP_SYS_ADMIN; and on a busy machine now and then fails. */
function canMount(): boolean {
  if (!process.env.UNQCOW_TEST_CLIENTS) return false;
  const [, effective = '0'] = /^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return existsSync('/dev/fuse') && ((BigInt(`0x${effective}`) >> 21n) & 1n) === 1n;
}

const ended = async (name: string) => (await stack.stepFunctions.wait(name)).status;

type Do = (command: string) => Promise<void>;

const mapChain: Do = async (command) => {
  const { map } = JSON.parse((await shell(command)).stdout);
  expect(map).toMatchObject([{ start: 0, length: 32 * MiB, depth: 1 }]);
};

const convertOverHttp: Do = async (command) => {
  const [start = '', follow = ''] = command.split(/\n(?=curl "\$API)/);
  const { id } = JSON.parse((await shell(start)).stdout);
  expect(await ended(id)).toBe('SUCCEEDED');
  expect(JSON.parse((await shell(follow.replace('ID', id))).stdout)).toMatchObject({ id, state: 'succeeded' });
};

const readView: Do = async (command) => {
  // Where nothing can be mounted, the rest is run.
  const lines = canMount() ? command : command.slice(0, command.indexOf('mkdir -p mnt'));
  const { stdout } = await shell(lines);
  expect(stdout).toMatch(/^000001f0: .* 55aa /m);
  expect(stdout).toContain(`export-size: ${32 * MiB}`);
  if (canMount()) expect(stdout).toMatch(/mnt\/nbd: +DOS\/MBR boot sector/);
  expect((await readFile(join(folder, 'disk.raw'))).length).toBe(32 * MiB);
};

const convertWithSecret: Do = async (command) => {
  const { stdout } = await shell(command);
  const [started = ''] = /^\{.*\}$/m.exec(stdout) ?? [];
  expect(await ended(JSON.parse(started).id)).toBe('SUCCEEDED');
};

const startByHand: Do = async (command) => {
  const [start = '', follow = ''] = command.split(/\n(?=aws .* describe-execution)/);
  const { executionArn } = JSON.parse((await shell(start)).stdout);
  expect(await ended(executionArn.split(':').at(-1))).toBe('SUCCEEDED');
  const { stdout } = await shell(follow.replace(/ARN$/, executionArn));
  expect(JSON.parse(stdout)).toMatchObject({ status: 'SUCCEEDED', output: expect.stringContaining('disk.raw') });
};

const watchUpload: Do = async (command) => {
  const [upload = '', look = ''] = command.split(/\n(?=aws .* s3 ls)/);
  await shell(upload);
  const found = () =>
    shell(look)
      .then(({ stdout }) => stdout)
      .catch(() => '');
  await expect.poll(found, { timeout: 30_000, interval: 500 }).toContain(`${32 * MiB} disk.qcow2.raw`);
};

/** What is done with the commands that go together, page by page, and what shows that they did what they are for. */
const DO: Readonly<Record<string, readonly Do[]>> = {
  'docs/http-api.md': [mapChain, convertOverHttp, readView],
  'docs/guides/secrets.md': [convertWithSecret],
  'docs/guides/state-machines.md': [startByHand],
  'docs/guides/triggers.md': [watchUpload],
};

describe('the commands in the docs', () => {
  it('are found', () => {
    expect(RUN.length).toBeGreaterThan(20);
    expect(TOGETHER.length).toBeGreaterThan(5);
    expect(SCRIPTS.length).toBeGreaterThan(5);
  });

  it.each(BLOCKS)('$page shows nothing but commands, and what one prints: $command', ({ command }) => {
    const lines = GO_TOGETHER.test(command) ? [command] : command.split('\n');
    for (const line of lines.filter((each) => !/^disk\.raw: 2 GiB, /.test(each))) expect(line.trim()).toMatch(PROGRAM);
  });

  it.each(Object.entries(EXEMPT))('are left out for a reason that still holds for some: %s', (_, commands) => {
    const all = [...LINES, ...TOGETHER].map(({ command }) => command);
    for (const each of commands)
      expect(
        all.some((command) => each.test(command)),
        String(each),
      ).toBe(true);
  });

  it.each(RUN)('$page: $command', async ({ command }) => {
    await shell(put(command));
  });

  const together = TOGETHER.filter(({ command }) => whyNot(command) === undefined);
  it.for(together)('$page, together: $command', { timeout: 60_000 }, async ({ page, command }, { skip }) => {
    const place = together.filter((each) => each.page === page).findIndex((each) => each.command === command);
    const doing = DO[page]?.[place];
    if (!doing) throw new Error('is neither run here nor left out for a reason');
    skip(/^aws/m.test(command) && !has('aws'), 'the aws command line is not installed');
    await doing(put(command));
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
