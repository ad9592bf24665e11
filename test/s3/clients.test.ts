import { type ExecFileOptions, execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalS3, startLocalS3 } from '../../infra/local/s3/server.ts';
import { GiB, MiB } from '../../lib/units.ts';
import { bytes } from './support/bytes.ts';

// What people have installed, used as they use it. Asked for by name only: it takes minutes, and programs that are no
// dependency of ours.
const wanted = process.env.UNQCOW_TEST_CLIENTS === '1';
const credentials = { accessKeyId: 'LOCALACCESSKEY', secretAccessKey: 'local/secret+key' };
const run = promisify(execFile);

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

interface Client {
  readonly name: string;
  readonly program: string;
  /** The arguments of each command: `remote` is BUCKET/KEY, `local` a path. */
  readonly make: (bucket: string) => string[];
  readonly up: (local: string, remote: string) => string[];
  readonly down: (remote: string, local: string) => string[];
  readonly sync: (local: string, remote: string) => string[];
  readonly list: (remote: string) => string[];
  readonly remove: (remote: string) => string[];
  readonly presign: (remote: string) => string[];
}

const aws = (program: string, name: string): Client => ({
  name,
  program,
  make: (bucket) => ['s3', 'mb', `s3://${bucket}`],
  up: (local, remote) => ['s3', 'cp', '--no-progress', local, `s3://${remote}`],
  down: (remote, local) => ['s3', 'cp', '--no-progress', `s3://${remote}`, local],
  sync: (local, remote) => ['s3', 'sync', '--no-progress', '--delete', local, `s3://${remote}`],
  list: (remote) => ['s3', 'ls', '--recursive', `s3://${remote}`],
  remove: (remote) => ['s3', 'rm', '--recursive', `s3://${remote}`],
  presign: (remote) => ['s3', 'presign', `s3://${remote}`],
});

const CLIENTS: readonly Client[] = [
  aws('/usr/bin/aws', 'the aws command line of the system'),
  aws('aws', 'the aws command line in the path'),
  {
    name: 'rclone',
    program: 'rclone',
    make: (bucket) => ['mkdir', `local:${bucket}`],
    up: (local, remote) => ['copyto', local, `local:${remote}`],
    down: (remote, local) => ['copyto', `local:${remote}`, local],
    sync: (local, remote) => ['sync', local, `local:${remote}`],
    list: (remote) => ['ls', `local:${remote}`],
    remove: (remote) => ['delete', `local:${remote}`],
    presign: (remote) => ['link', `local:${remote}`],
  },
];

describe.runIf(wanted).each(CLIENTS.filter(({ program }) => isInstalled(program)))('$name', (client) => {
  let server: LocalS3;
  let dir = '';
  const bucket = 'clients-test';
  const path = (...names: string[]) => join(dir, ...names);

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'unqcow-clients-'));
    server = await startLocalS3({ dir: path('data'), credentials });
    // Version 1 of the aws command line still presigns as AWS itself no longer accepts it, unless told not to.
    await writeFile(path('aws-config'), '[default]\ns3 =\n  signature_version = s3v4\n');
  });
  afterAll(async () => {
    await server.close();
    await rm(dir, { recursive: true });
  });

  async function command(parameters: string[]): Promise<string> {
    const options: ExecFileOptions = { env: environment(), maxBuffer: 64 * MiB };
    const endpoint = client.program.endsWith('aws') ? ['--endpoint-url', server.endpoint] : [];
    return String((await run(client.program, [...endpoint, ...parameters], options)).stdout);
  }

  /** Credentials, and nothing of what the user has set up. */
  function environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: dir,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_CONFIG_FILE: path('aws-config'),
      RCLONE_CONFIG_LOCAL_TYPE: 's3',
      RCLONE_CONFIG_LOCAL_PROVIDER: 'Other',
      RCLONE_CONFIG_LOCAL_ENV_AUTH: 'true',
      RCLONE_CONFIG_LOCAL_REGION: 'us-east-1',
      RCLONE_CONFIG_LOCAL_ENDPOINT: server.endpoint,
    };
  }

  it('makes a bucket', async () => {
    await command(client.make(bucket));
    expect(await command(client.list(bucket))).toBe('');
  });

  it('copies 1 GiB there and back', { timeout: 600_000 }, async () => {
    await writeSparse(path('big'), GiB);
    await command(client.up(path('big'), `${bucket}/big file`));
    await command(client.down(`${bucket}/big file`, path('back')));
    await run('cmp', [path('big'), path('back')]);
    expect(server.metrics().bytesIn).toBeGreaterThanOrEqual(GiB);
    expect(server.metrics().bytesOut).toBeGreaterThanOrEqual(GiB);
    await command(client.remove(client.program === 'rclone' ? `${bucket}/big file` : `${bucket}/big`));
  });

  it('syncs a folder, and then only what changed', { timeout: 120_000 }, async () => {
    const files = { 'a.txt': 'a', 'deep/b c+d.txt': 'b', 'deep/er/ü.txt': 'c' };
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(path('tree', name), '..'), { recursive: true });
      await writeFile(path('tree', name), text);
    }
    await command(client.sync(path('tree'), `${bucket}/tree`));
    const listed = await command(client.list(`${bucket}/tree`));
    for (const name of Object.keys(files)) expect(listed).toContain(name);
    const before = server.metrics().requests.PutObject ?? 0;
    await writeFile(path('tree', 'a.txt'), 'changed');
    await rm(path('tree', 'deep/er/ü.txt'));
    await command(client.sync(path('tree'), `${bucket}/tree`));
    expect((server.metrics().requests.PutObject ?? 0) - before).toBe(1);
    expect(await command(client.list(`${bucket}/tree`))).not.toContain('ü.txt');
    await command(client.down(`${bucket}/tree/deep/b c+d.txt`, path('one')));
    expect(await readFile(path('one'), 'utf8')).toBe('b');
  });

  it('makes a URL that anyone can read from', async () => {
    await writeFile(path('shared'), 'shared');
    await command(client.up(path('shared'), `${bucket}/shared & found`));
    const url = (await command(client.presign(`${bucket}/shared & found`))).trim();
    const answer = await fetch(url);
    expect([answer.status, await answer.text()]).toEqual([200, 'shared']);
    expect((await fetch(url.replace('shared', 'shaped'))).status).toBe(403);
  });

  it('removes everything', { timeout: 120_000 }, async () => {
    await command(client.remove(bucket));
    expect(await command(client.list(bucket))).toBe('');
  });
});

/** A file with data here and there, and holes between. */
async function writeSparse(path: string, size: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let at = 0; at < size; at += 64 * MiB) await file.write(bytes(MiB, 1 + at), 0, MiB, at);
    await file.truncate(size);
  } finally {
    await file.close();
  }
}
