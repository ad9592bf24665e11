import { type ChildProcess, execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MiB } from '../../lib/units.ts';
import { SMALL_PARTS, sixParts } from '../pipeline/small-world.ts';
import { usePipeline } from '../pipeline/use-pipeline.ts';
import { alters, type Fault, useFaultyS3 } from '../support/faulty-s3.ts';
import { unqcow } from './run.ts';

const execute = promisify(execFile);
const MACHINE = 'arn:aws:states:us-east-1:000000000000:stateMachine:unqcow';
/** What the test holds workers back with, if it does. */
let gate: Promise<void> | undefined;
/** What the test holds the end of a conversion in parts back with. */
let end: Promise<void> | undefined;
/** Whether Lambda has room for workers. */
let isFull = false;
const pipeline = usePipeline({
  // A disk of 20 MiB is made whole.
  limits: { ...SMALL_PARTS, wholeDisk: 20 * MiB },
  lambda: (name, create) => {
    const run = create();
    if (name === 'complete')
      return async (event, context) => {
        await end;
        return run(event, context);
      };
    if (name !== 'convert-whole') return run;
    return async (event, context) => {
      await gate;
      if (isFull) throw Object.assign(new Error('Rate Exceeded.'), { name: 'Lambda.TooManyRequestsException' });
      return run(event, context);
    };
  },
});
/** Step Functions, by way of a proxy that sees what is asked and may answer itself. */
const asked = useFaultyS3(() => pipeline.stack.stepFunctions.endpoint);
let folder: string;
let image: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unqcow-cloud-'));
  image = join(folder, 'disk');
  await execute('qemu-img', ['create', '-q', '-f', 'qcow2', image, '20M']);
  await execute('qemu-io', ['-c', 'write -P 1 0 1M', '-c', 'write -c -P 2 5M 64k', image]);
  await execute('qemu-img', ['convert', '-O', 'raw', image, `${image}.raw`]);
  await pipeline.put(image, 'disk');
  const { store, stepFunctions } = pipeline.stack;
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: store.endpoint,
    AWS_ENDPOINT_URL_SFN: stepFunctions.endpoint,
    AWS_REGION: store.region,
    AWS_ACCESS_KEY_ID: store.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.credentials.secretAccessKey,
  });
});
afterAll(() => rm(folder, { recursive: true }));

const { images, raw } = { images: () => pipeline.stack.buckets.images, raw: () => pipeline.stack.buckets.raw };
const convert = (target: string, ...more: string[]) => [
  ...['convert', `s3://${images()}/disk`, `s3://${raw()}/${target}`, '--state-machine', MACHINE, ...more],
];
const throughProxy = () => ({ AWS_ENDPOINT_URL_SFN: asked.endpoint });
const refuses = (name: string): Fault => ({
  kind: 'answer',
  status: 400,
  headers: { 'content-type': 'application/x-amz-json-1.0' },
  body: JSON.stringify({ __type: `com.amazonaws.sfn#${name}`, message: 'as the test wants it' }),
});

describe('unqcow convert --state-machine', () => {
  it('starts a conversion in the cloud, follows it, and says what came of it', async () => {
    const { code, stdout } = await unqcow(convert('cloud.raw', '--json'));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ destination: { key: 'cloud.raw' }, size: 20 * 2 ** 20, proven: true });
    expect(await pipeline.difference('cloud.raw', `${image}.raw`)).toBeUndefined();
  });

  it('says it in a line, to people', async () => {
    const { stdout, stderr } = await unqcow(convert('line.raw'));
    expect(stdout).toMatch(/line\.raw: 20 MiB, CRC-32 [0-9a-f]{8}; read .* in \d+ requests, [\d.]+ s\n$/);
    expect(stderr).toMatch(/^started cli-[0-9a-f]{40}$/m);
  });

  it('with --work shows how far it is, by the kinds of its parts, and says them at the end as on one machine', async () => {
    await pipeline.put(sixParts(folder, 'six').path, 'six');
    const held = Promise.withResolvers<void>();
    end = held.promise;
    const [, , ...rest] = convert('six.raw', '--work', `s3://${pipeline.stack.buckets.work}/`);
    let told = '';
    const { code, stdout } = await unqcow(['convert', `s3://${images()}/six`, ...rest], async (child) => {
      child.stderr?.on('data', (text) => {
        told += text;
        if (told.includes('100%')) held.resolve();
      });
      await held.promise;
    });
    expect(code).toBe(0);
    expect(told).toMatch(/^100%: .*, 3 data, 2 zero, 1 copy$/m);
    expect(stdout).toMatch(
      /six\.raw: .* MiB, CRC-32 [0-9a-f]{8}, parts: 3 data, 2 zero, 1 copy; read .* requests, [\d.]+ s\n$/,
    );
  });

  it('refuses as the state machine does, by its code', async () => {
    const { code, stderr } = await unqcow(convert('none.raw', '--json', '--snapshot', 'none'));
    expect(code).toBe(1);
    expect(JSON.parse(stderr).code).toBe('SNAPSHOT_NOT_FOUND');
  });

  it('with --detach only starts it', async () => {
    const { stdout } = await unqcow(convert('detached.raw', '--json', '--detach'));
    const { id } = JSON.parse(stdout);
    expect((await pipeline.stack.stepFunctions.wait(id)).status).toBe('SUCCEEDED');
  });

  it('is stopped by Ctrl-C, and leaves no object', async () => {
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => {
      open = resolve;
    });
    const { code, stderr } = await unqcow(convert('stopped.raw'), async (child) => {
      await new Promise((resolve) => child.stderr?.once('data', resolve));
      child.kill('SIGINT');
    });
    open();
    expect(code).toBe(1);
    expect(stderr).toContain('ABORTED');
    const [, id = ''] = /started (\S+)/.exec(stderr) ?? [];
    expect(pipeline.stack.stepFunctions.describe(id).status).toBe('ABORTED');
  });

  it('is stopped by a Ctrl-C that comes before the answer to its start', async () => {
    let [open, child]: [() => void, ChildProcess | undefined] = [() => undefined, undefined];
    gate = new Promise((resolve) => {
      open = resolve;
    });
    const interrupts = alters((answer) => {
      child?.kill('SIGINT');
      return answer;
    });
    asked.when(({ headers }) => headers['x-amz-target'] === 'AWSStepFunctions.StartExecution', interrupts);
    const { code, stderr } = await unqcow(
      convert('early.raw', '-q', '--json'),
      async (started) => {
        child = started;
      },
      throughProxy(),
    );
    open();
    gate = undefined;
    expect(code).toBe(1);
    const refusal = JSON.parse(stderr);
    expect(refusal.code).toBe('ABORTED');
    const [id = ''] = /cli-[0-9a-f]{40}/.exec(refusal.message) ?? [];
    expect(pipeline.stack.stepFunctions.describe(id).status).toBe('ABORTED');
  });

  it('asks in the region that the ARN names, wherever else the environment is', async () => {
    const region = { AWS_REGION: 'eu-west-1' };
    const { stdout } = await unqcow(convert('region.raw', '--json', '--detach'), undefined, {
      ...throughProxy(),
      ...region,
    });
    expect(asked.requests.map(({ headers }) => headers.authorization)).toEqual([
      expect.stringMatching(/Credential=local\/\d{8}\/us-east-1\/states\/aws4_request/),
    ]);
    expect((await pipeline.stack.stepFunctions.wait(JSON.parse(stdout).id)).status).toBe('SUCCEEDED');
  });

  it('says that Lambda has had no room, which is no defect', async () => {
    isFull = true;
    const { code, stderr } = await unqcow(convert('full.raw', '--json'));
    isFull = false;
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toEqual({
      code: 'TOO_MANY_REQUESTS',
      message: 'Lambda.TooManyRequestsException: Rate Exceeded.',
    });
  });

  it('names a state machine that there is not', async () => {
    const other = convert('none.raw', '--json').map((each) => (each === MACHINE ? `${MACHINE}-other` : each));
    const { code, stderr } = await unqcow(other);
    expect({ code, refusal: JSON.parse(stderr).code }).toEqual({ code: 1, refusal: 'STATE_MACHINE_NOT_FOUND' });
  });

  it.each([
    ['InvalidArn', 'STATE_MACHINE_NOT_FOUND'],
    ['AccessDeniedException', 'STATE_MACHINE_DENIED'],
    ['UnrecognizedClientException', 'STATE_MACHINE_DENIED'],
    ['ThrottlingException', 'TOO_MANY_REQUESTS'],
  ])('says what Step Functions refuses, by our code: %s', async (name, refusal) => {
    asked.next(...Array.from({ length: 5 }, () => refuses(name)));
    const { code, stderr } = await unqcow(convert('none.raw', '--json'), undefined, throughProxy());
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      code: refusal,
      message: expect.stringContaining('as the test wants it'),
    });
  });

  it('says that Step Functions does not answer', async () => {
    const nowhere = { AWS_ENDPOINT_URL_SFN: 'http://127.0.0.1:1' };
    const { code, stderr } = await unqcow(convert('none.raw', '--json'), undefined, nowhere);
    expect({ code, refusal: JSON.parse(stderr).code }).toEqual({ code: 1, refusal: 'STATE_MACHINE_UNAVAILABLE' });
  });

  it.each([
    [['--passphrase-file', 'x'], '--passphrase-file'],
    [['--all-snapshots'], '--all-snapshots'],
  ])('takes no %j, which is for one machine', async (flags, says) => {
    const { code, stderr } = await unqcow(convert('none.raw', '--json', ...flags));
    expect(code).toBe(2);
    expect(JSON.parse(stderr)).toMatchObject({ code: 'BAD_REQUEST', message: expect.stringContaining(says) });
  });

  it('takes no files', async () => {
    const { code, stderr } = await unqcow(['convert', image, `s3://${raw()}/x`, '--state-machine', MACHINE, '--json']);
    expect({ code, refusal: JSON.parse(stderr).code }).toEqual({ code: 2, refusal: 'BAD_REQUEST' });
  });
});
