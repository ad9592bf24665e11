import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
    [...toS3, '--tag', 'team'],
    [...toS3, '--metadata', '=vms'],
    [...toS3, '--metadata', 'unqcow-version=0'],
    [...toS3, '--kms-key-id', 'key'],
    [...toS3, '--work', 'folder'],
    [...toS3, '--estimate', '--tag', 'team'],
    [...toS3, '--state-machine', 'unqcow'],
    [...toS3, '--state-machine', `${MACHINE}:alias`],
    [...toS3, '--state-machine', MACHINE, '--output-limit', '1'],
    [...toFile, '--tag', 'team=vms'],
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
