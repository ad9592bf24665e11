import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listening } from '../../bin/listening.ts';
import { imageBytes } from '../support/hostile.ts';
import { unqcow } from './run.ts';

const MACHINE = 'arn:aws:states:us-east-1:000000000000:stateMachine:unqcow';
let folder: string;
let image: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-usage-'));
  image = join(folder, 'image');
  await writeFile(image, imageBytes());
});
afterAll(() => rm(folder, { recursive: true }));

describe.concurrent('flags that mean nothing', () => {
  const toS3 = ['convert', 'IMAGE', 's3://raw/disk'];
  const toFile = ['convert', 'IMAGE', 'disk-{id}.raw'];
  const misuses = [
    ['map', 'IMAGE', '--map', 'base'],
    ['map', 'IMAGE', '--map', 'base=http://elsewhere/base'],
    ['info', 'IMAGE', '--probe', '--map', 'base'],
    ['info', 'IMAGE', '--snapshot', '1'],
    ['info', 'IMAGE', '--passphrase-file', 'x'],
    ['info', 'IMAGE', '--request-payer'],
    [...toS3, '--tag', 'team'],
    [...toS3, '--metadata', '=vms'],
    [...toS3, '--metadata', 'unqcow-version=0'],
    [...toS3, '--kms-key-id', 'key'],
    [...toS3, '--work', 'folder'],
    [...toS3, '--estimate', '--tag', 'team'],
    [...toS3, '--state-machine', 'unqcow'],
    [...toS3, '--state-machine', `${MACHINE}:alias`],
    [...toS3, '--state-machine', MACHINE, '--output-limit', '1'],
    [...toS3, '--copy-parts', 'off'],
    [...toS3, '--state-machine', MACHINE, '--workers', '2'],
    [...toFile, '--tag', 'team=vms'],
    [...toFile, '--overwrite', 'own'],
    [...toFile, '--work', 's3://work/'],
    [...toFile, '--zero-parts', 'upload'],
    [...toFile, '--expected-bucket-owner', '000000000000'],
    [...toFile, '--request-payer'],
    [...toFile, '--salvage', '--estimate'],
    [...toFile, '--snapshot', '1', '--all-snapshots'],
    [...toFile, '--estimate', '--all-snapshots'],
    [...toFile, '--detach'],
    [...toFile, '--key-secret', 'arn:aws:secretsmanager:us-east-1:000000000000:secret:disks/db-Ab12Cd'],
  ];

  it.each(misuses.map((args) => [args]))(
    'exit with 2 and are told as one object, if that is asked for: %j',
    async (args) => {
      const named = args.map((each) => (each === 'IMAGE' ? image : each));
      const { code, stdout, stderr } = await unqcow([...named, '--json']);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(JSON.parse(stderr)).toEqual({ code: 'BAD_REQUEST', message: expect.stringMatching(/./) });
    },
  );

  it('are none where the environment says it for what goes to S3', async () => {
    const target = join(folder, 'disk.raw');
    const { code } = await unqcow(['convert', image, target], undefined, { UNQCOW_WORK: 's3://work/' });
    expect(code).toBe(0);
  });

  it.each([
    [['--overwrite', 'own'], '--overwrite own is for targets in S3'],
    [['--sse', 'AES256'], '--sse is for targets in S3'],
  ])('are named: %j', async (flags, why) => {
    expect((await unqcow(['convert', image, 'disk.raw', ...flags])).stderr).toContain(why);
  });

  it('exit with 2 and are told in sentences, else', async () => {
    const { code, stdout, stderr } = await unqcow(['console', '--api', 'http://elsewhere.example']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^unqcow: BAD_REQUEST: the API has an https:\/\/ URL \(--api\)$/m);
  });

  it.each([
    [['info'], /^missing required argument 'image'/],
    [['info', 'disk.qcow2', '--frobnicate'], /^unknown option '--frobnicate'/],
    [['unconvert'], /^unknown (command|option)/],
    [['convert', 'a', 'b', '--workers', 'many'], /^option '--workers <n>' argument 'many' is invalid/],
    [
      ['convert', 'a', 'b', '--storage-class', 'FLOPPY'],
      /^option '--storage-class <class>' argument 'FLOPPY' is invalid/,
    ],
  ])('are one object also where the parser refuses them: %j', async (args, says) => {
    const { code, stdout, stderr } = await unqcow([...args, '--json']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({ code: 'BAD_REQUEST', message: expect.stringMatching(says) });
  });
});

describe.concurrent('what names no place', () => {
  it.each([
    [['info', ''], /^an empty name is neither/],
    [['info', 's3://'], /^s3:\/\/ does not name an object/],
    [['check', 'http://example.com/disk.qcow2'], /is neither a path nor s3/],
    [['convert', 'IMAGE', ''], /^an empty name is neither/],
    [['convert', 'IMAGE', '-'], /`unqcow serve`.* \.\/-/],
    [['convert', 'IMAGE', 's3://raw'], /does not name an object/],
    [['convert', 'IMAGE', 's3://raw/disk?versionId=1'], /^a version of an object cannot be written to/],
    [['convert', 'IMAGE', 'disk.raw', '--all-snapshots'], /^disk\.raw has no \{id\}, \{name\} or \{index\}/],
    [['convert', 'IMAGE', 'disk-{bogus}.raw', '--all-snapshots'], /^\{bogus\} is not/],
    [['convert', 's3://images/disk', 'disk', '--state-machine', MACHINE], /^the target of a conversion in the cloud/],
  ])('is wrong usage: %j', async (args, says) => {
    const { code, stdout, stderr } = await unqcow([...args.map((each) => (each === 'IMAGE' ? image : each)), '--json']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(JSON.parse(stderr)).toMatchObject({ code: 'BAD_REQUEST', message: expect.stringMatching(says) });
  });
});

describe('unqcow local', () => {
  const local = (dir: string, during?: Parameters<typeof unqcow>[1]) =>
    unqcow(['local', '--dir', dir, '--port', '24570'], during);

  it('has its folder for itself, and takes over that of one that is no more', async () => {
    const dir = join(folder, 'own', 'local');
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'unqcow.pid'), '4194305\n'); // more than Linux counts up to
    const first = await local(dir, async (child) => {
      await once(child.stdout as Readable, 'data');
      const { code, stderr } = await local(dir);
      expect(code).toBe(1);
      expect(stderr).toContain(`BAD_REQUEST: process ${child.pid} has ${dir}; `);
      child.kill('SIGHUP');
    });
    expect(first.code).toBe(0);
    expect(await readdir(dir)).not.toContain('unqcow.pid');
  });

  it('ends as by Ctrl-C where nothing can be said', async () => {
    const dir = join(folder, 'full');
    const line = 'bin/unqcow local --dir "$0" --port 24570 >/dev/full';
    const failed = await promisify(execFile)('bash', ['-c', line, dir]).catch((why) => why);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(/^unqcow: stdout: ENOSPC.*\n$/) });
    expect(await readdir(dir)).not.toContain('unqcow.pid');
  });

  // Node's own way to make folders goes on for ever there.
  it('says that no folder can be made, also where the file system says so oddly', async () => {
    const { code, stderr } = await local('/proc/unqcow');
    expect(code).toBe(1);
    expect(stderr).toContain('BAD_REQUEST: /proc/unqcow is no folder that can be written to (ENOENT) (--dir)');
  });
});

describe.concurrent('a port', () => {
  it.each([
    ['local', '70000'],
    ['local', '65534'], // the next two are used, too
    ['local', '0'],
    ['serve', '65536'],
    ['serve', ''],
    ['serve', '0x50'],
    ['console', '-1'],
  ])('that there is not is wrong usage: %s --port "%s"', async (command, port) => {
    const named: Record<string, string[]> = { serve: [image], console: ['--api', 'https://api.example'] };
    const { code, stderr } = await unqcow([command, ...(named[command] ?? []), `--port=${port}`]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/Not a port from \d to \d+\./);
  });
});

describe('a port that is taken', () => {
  let server: Server;
  let port: number;
  beforeAll(async () => {
    server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => server.close());

  it.each([
    ['local', () => ['--dir', join(folder, 'local')]],
    ['serve', () => [image]],
    ['console', () => ['--api', 'https://api.example']],
  ])('is named, with what to do: unqcow %s', async (command, more) => {
    const { code, stderr } = await unqcow([command, ...more(), '--port', String(port)]);
    expect(code).toBe(1);
    expect(stderr).toContain(`BAD_REQUEST: port ${port} is taken; --port asks for another (--port)`);
  });
});

describe('what else stands against listening', () => {
  it('is an address of another machine', async () => {
    const { code, stderr } = await unqcow(['serve', image, '--port', '0', '--host', '192.0.2.1']);
    expect(code).toBe(1);
    expect(stderr).toContain('BAD_REQUEST: 192.0.2.1 is no address of this machine (--host)');
  });

  const failing = (fields: object) => listening(() => Promise.reject(Object.assign(new Error('EACCES'), fields)));

  it('is a port for others', async () => {
    const refused = failing({ code: 'EACCES', syscall: 'listen', address: '127.0.0.1', port: 80 });
    await expect(refused).rejects.toMatchObject({ code: 'BAD_REQUEST', at: '--port', message: /^port 80 / });
  });

  it('is no file that may not be opened meanwhile', async () => {
    await expect(failing({ code: 'EACCES', syscall: 'mkdir' })).rejects.toMatchObject({ syscall: 'mkdir' });
  });
});
