import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { secretArn } from '../../infra/local/secrets-manager.ts';
import type { Services } from '../../infra/local/stack.ts';
import { LOCAL_CREDENTIALS, SEALING_SECRET } from '../../infra/local/stack-config.ts';
import type { LocalFunction } from '../../infra/local/step-functions/server.ts';
import type { ConversionResult } from '../../lib/jobs/conversion.ts';
import { PLAN_LIMITS } from '../../lib/plan/s3-limits.ts';
import { KiB, MiB } from '../../lib/units.ts';
import { ask, post } from '../http/ask.ts';
import { STACK, usePipeline } from '../pipeline/use-pipeline.ts';
import { formsOf } from '../support/forms-of.ts';
import { persistently } from '../support/persistently.ts';
import type { Lambda } from './support/lambda.ts';
import { BUCKETS, lambdaOf, STATE_MACHINE } from './support/world.ts';

const lambdas: Lambda[] = [];
const used = (name: string) => lambdas.filter(({ configuration }) => configuration.name === name);

/** The packaged function of that name in Lambda's own runtime, in the place of the source. */
function packaged(name: string, services: Services): LocalFunction {
  let lambda: Lambda | undefined;
  return async (payload) => {
    if (!lambda) {
      // Step Functions' endpoint is known only once all functions are.
      lambda = lambdaOf(name, services);
      lambdas.push(lambda);
    }
    return lambda.call(payload);
  };
}

const secrets = mkdtempSync(join(tmpdir(), 'unqcow-packaged-secrets-'));
afterAll(() => {
  for (const each of lambdas) each.close();
  rmSync(secrets, { recursive: true });
});

// The pipeline's own test, from upload event to raw object and refusal, over the bundles instead of the sources.
STACK.options = {
  buckets: BUCKETS,
  config: { stateMachineArn: STATE_MACHINE },
  secrets: { dir: secrets },
  lambda: (name, _create, services) => packaged(name, services),
};
await import('../pipeline/pipeline.test.ts');

describe('a disk that compresses to half of itself', () => {
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-packaged-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const pipeline = usePipeline();

  /** Each cluster half noise, half zeros: as much to read, to inflate and to write as a real disk has. */
  function compressed(name: string, size: number, type: 'zlib' | 'zstd') {
    const raw = join(folder, `${name}.raw`);
    const file = openSync(raw, 'w');
    const cluster = Buffer.alloc(64 * KiB);
    for (let at = 0; at < size; at += cluster.length)
      writeSync(file, randomFillSync(cluster, 0, 32 * KiB), 0, cluster.length, at);
    closeSync(file);
    const path = join(folder, name);
    execFileSync('qemu-img', ['convert', '-c', '-W', '-O', 'qcow2', '-o', `compression_type=${type}`, raw, path]);
    return { path, raw };
  }

  async function becomes(name: string, { path, raw }: ReturnType<typeof compressed>): Promise<ConversionResult> {
    const ended = await pipeline.upload(path, name);
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { proven: true } });
    expect(await pipeline.difference(`${name}.raw`, raw)).toBeUndefined();
    return ended.output as ConversionResult;
  }

  it('is made by convert-whole, as large as it may be for that', async () => {
    const result = await becomes('whole.qcow2', compressed('whole.qcow2', PLAN_LIMITS.wholeDisk, 'zlib'));
    expect(result).not.toHaveProperty('parts');
  });

  it('is made by convert-part, in parts of 64 MiB', async () => {
    const result = await becomes('parts.qcow2', compressed('parts.qcow2', 5 * PLAN_LIMITS.dataPart, 'zlib'));
    expect(result.parts).toEqual({ data: 5, zero: 0, copy: 0 });
  });
});

const PASSPHRASE = Buffer.from('planted passphrase, 27 bytes');

describe('an encrypted disk', () => {
  const pipeline = usePipeline();
  const passphrase = join(secrets, 'disks/one');
  mkdirSync(join(secrets, 'disks'));
  writeFileSync(passphrase, PASSPHRASE);
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-packaged-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Made by QEMU, and what QEMU makes of it. */
  async function encrypted(name: string, size: string) {
    const tool = (command: string, ...args: string[]) => execFileSync(command, args, { cwd: folder, stdio: 'pipe' });
    const secret = ['--object', `secret,id=s,file=${passphrase}`];
    const image = `driver=qcow2,encrypt.key-secret=s,file.filename=${name}`;
    const format = ['-f', 'qcow2', '-o', 'encrypt.format=luks,encrypt.iter-time=10,encrypt.key-secret=s'];
    await persistently(async () => tool('qemu-img', 'create', '-q', ...secret, ...format, name, size));
    tool('qemu-io', ...secret, '--image-opts', '-c', 'write -P 1 1M 1M', image);
    tool('qemu-img', 'convert', ...secret, '--image-opts', '-O', 'raw', image, `${name}.raw`);
    return { path: join(folder, name), raw: join(folder, `${name}.raw`) };
  }
  const request = (key: string, secret: string) => ({
    source: { bucket: BUCKETS.images, key },
    destination: { bucket: BUCKETS.raw, key: `${key}.raw` },
    keys: { '': secretArn(secret) },
  });

  it.each(['8M', '260M'])('is converted by the secret that holds its passphrase: %s', async (size) => {
    const { path, raw } = await encrypted(size, size);
    await pipeline.put(path, size);
    expect(await pipeline.convert(request(size, 'disks/one'))).toMatchObject({ status: 'SUCCEEDED' });
    expect(await pipeline.difference(`${size}.raw`, raw)).toBeUndefined();
  });

  it('is refused by another', async () => {
    writeFileSync(join(secrets, 'disks/other'), 'planted, and wrong');
    expect(await pipeline.convert(request('8M', 'disks/other'))).toMatchObject({
      status: 'FAILED',
      error: 'WRONG_KEY',
    });
  });

  it('is asked about over HTTP, by who shows what nobody else should have', async () => {
    const headers = { authorization: 'Bearer planted-token', cookie: 'planted-cookie' };
    const image = `/images/${BUCKETS.images}/8M`;
    expect(await ask(pipeline, image, { headers })).toMatchObject({ status: 200 });
    expect(await ask(pipeline, `${image}?X-Amz-Signature=planted`, { headers })).toMatchObject({ status: 400 });
    expect(await ask(pipeline, '/conversions', post({ planted: 'body' }, headers))).toMatchObject({ status: 400 });
  });
});

describe('a link to a raw disk', () => {
  const pipeline = usePipeline();
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-packaged-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is made, and answered with the bytes of the disk', async () => {
    const path = join(folder, 'viewed');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '64M']);
    execFileSync('qemu-io', ['-c', 'write -P 7 1M 1M', path]);
    await pipeline.put(path, 'viewed');
    const made = await ask(pipeline, '/views', post({ source: { bucket: BUCKETS.images, key: 'viewed' } }));
    tokens.push(new URL(made.body.url).searchParams.get('token') ?? '');
    const part = await fetch(made.body.url, { headers: { range: 'bytes=1048000-1049000' } });
    const expected = Buffer.concat([Buffer.alloc(576), Buffer.alloc(425, 7)]);
    expect([part.status, Buffer.from(await part.arrayBuffer()).equals(expected)]).toEqual([206, true]);
  });
});

/** Of links, each of which is as good as a key. */
const tokens: string[] = [];

describe('the functions of all those conversions', () => {
  const USED = ['plan', 'convert-whole', 'convert-part', 'complete', 'on-upload', 'sweep', 'start-view', 'view-disk'];

  it.each(USED)('have %s, and its memory sufficed', (name) => {
    expect(used(name)).not.toEqual([]);
    const [{ configuration }] = used(name) as [Lambda];
    const peak = Math.max(...used(name).map((each) => each.peak));
    process.stdout.write(`${name}: ${Math.round(peak / MiB)} of ${configuration.memory} MiB\n`);
    expect(peak).toBeGreaterThan(0);
    expect(peak).toBeLessThan(configuration.memory * MiB);
  });

  it('have nothing secret in their logs', () => {
    const logs = lambdas.flatMap(({ environments }) => environments.map(({ stdout }) => stdout));
    const sealing = readFileSync(join(secrets, SEALING_SECRET));
    const hidden = [
      ...[PASSPHRASE, sealing, Buffer.from(LOCAL_CREDENTIALS.secretAccessKey)].flatMap(formsOf),
      ...['planted', 'AWS4-HMAC-SHA256', 'Signature=', 'SignatureProvided', 'StringToSign', '"sealed"'],
      ...tokens,
    ];
    expect(tokens).toHaveLength(1);
    for (const each of hidden) expect(logs.filter((log) => log.includes(each))).toEqual([]);
    // The same search does find what is there.
    for (const each of ['"planned"', '"completed"', '"answered"', 'WRONG_KEY', '/disks/'])
      expect(logs.filter((log) => log.includes(each))).not.toEqual([]);
  });
});
