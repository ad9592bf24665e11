import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ec2 from '@aws-sdk/client-ec2';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import * as sfn from '@aws-sdk/client-sfn';
import * as ssm from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalFunction, startStepFunctions } from '../../infra/local/step-functions/server.ts';

import { STACK, usePipeline } from '../pipeline/use-pipeline.ts';
import { answerMembers, type ClientModule, unknownParameters } from '../support/sdk-shapes.ts';

interface State {
  readonly Type: string;
  readonly Resource?: string;
  readonly Parameters?: Record<string, unknown>;
  readonly ResultSelector?: Record<string, string>;
  readonly TimeoutSeconds?: number;
  Seconds?: number;
}
interface Machine {
  readonly States: Record<string, State>;
}

const validate = createRequire(import.meta.url)('asl-validator') as (definition: unknown) => {
  isValid: boolean;
  errorsText: (separator: string) => string;
};
const UNQCOW = 'arn:aws:states:us-east-1:123456789012:stateMachine:unqcow-prod';
const FILES = readdirSync('docs/recipes').filter((file) => file.endsWith('.asl.json'));

/** As its user pastes it, with the one name put in that it asks for. */
const read = (file: string): Machine =>
  JSON.parse(readFileSync(join('docs/recipes', file), 'utf8').replaceAll(`\${UnqcowStateMachineArn}`, UNQCOW));

const CLIENTS: Readonly<Record<string, ClientModule>> = { ec2, ssm };
const AWS_SDK = /^arn:aws:states:::aws-sdk:(\w+):(\w+)$/;
const SYNC = 'arn:aws:states:::states:startExecution.sync:2';

describe.each(FILES)('the recipe %s', (file) => {
  const machine = read(file);
  const tasks = Object.entries(machine.States).filter(([, { Type }]) => Type === 'Task');

  it('is a state machine', () => {
    const { isValid, errorsText } = validate(structuredClone(machine));
    expect(isValid, errorsText('\n')).toBe(true);
    expect(JSON.stringify(machine)).not.toContain('${');
  });

  it.each(tasks)('calls AWS in %s with parameters that there are, and takes what is in the answer', (_, state) => {
    expect(state.TimeoutSeconds).toBeGreaterThan(0);
    expect(state.Parameters).toBeDefined();
    if (state.Resource === SYNC) {
      const { 'StateMachineArn.$': _arn, ...parameters } = state.Parameters ?? {};
      expect(unknownParameters(sfn, 'startExecution', parameters)).toEqual([]);
      return;
    }
    const [, service = '', action = ''] = AWS_SDK.exec(state.Resource ?? '') ?? [];
    const client = CLIENTS[service] as ClientModule;
    expect(unknownParameters(client, action, state.Parameters)).toEqual([]);
    const taken = Object.values(state.ResultSelector ?? {}).map((path) => /^\$\.(\w+)/.exec(path)?.[1] ?? '');
    expect(taken.filter((member) => !answerMembers(client, action).includes(member))).toEqual([]);
  });
});

describe('what holds parameters to the SDK', () => {
  it('sees one that there is not, however deep', () => {
    expect(
      unknownParameters(ec2, 'importSnapshot', { DiskContainer: { Format: 'RAW', UserBucket: { Bucket: 'b' } } }),
    ).toEqual(['.DiskContainer.UserBucket.Bucket']);
    expect(
      unknownParameters(ec2, 'registerImage', { BlockDeviceMappings: [{ Ebs: { 'Snapshot.$': '$.a' } }] }),
    ).toEqual(['.BlockDeviceMappings[0].Ebs.Snapshot']);
    expect(() => unknownParameters(ec2, 'importDisk', {})).toThrow('importDisk');
  });
});

STACK.options = {};
describe('a recipe that runs', () => {
  const pipeline = usePipeline();
  const folder = mkdtempSync(join(tmpdir(), 'unqcow-recipes-'));
  const bin = join(folder, 'bin');
  let expected: Buffer;

  beforeAll(async () => {
    const path = join(folder, 'disk.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '2M']);
    execFileSync('qemu-io', ['-c', 'write -P 7 512k 64k', '-c', 'write -c -P 9 1M 64k', path]);
    execFileSync('qemu-img', ['convert', '-O', 'raw', path, `${path}.raw`]);
    expected = readFileSync(`${path}.raw`);
    await pipeline.put(path, 'disk');
    mkdirSync(bin);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Step Functions' own integration: the real conversion, on this machine. */
  const convert: LocalFunction = async (payload) => {
    const { StateMachineArn, Input } = payload as { StateMachineArn: string; Input: object };
    expect(StateMachineArn).toBe(UNQCOW);
    const ended = await pipeline.convert(Input);
    if (ended.status !== 'SUCCEEDED') throw Object.assign(new Error(ended.cause), { name: 'States.TaskFailed' });
    return { Status: ended.status, Output: ended.output };
  };

  async function rawObject(Bucket: string, Key: string): Promise<Buffer> {
    const { Body } = await pipeline.client.send(new GetObjectCommand({ Bucket, Key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  /** @param services What AWS would do, by the resource that a state names. */
  async function run(file: string, input: object, services: Readonly<Record<string, LocalFunction>>) {
    const machine = read(file);
    for (const state of Object.values(machine.States)) if (state.Type === 'Wait') state.Seconds = 0;
    const runner = await startStepFunctions({
      definition: machine,
      stateMachineArn: 'arn:aws:states:us-east-1:123456789012:stateMachine:recipe',
      functions: { [SYNC]: convert, ...services },
      s3: pipeline.client,
      retryDelayScale: 0,
    });
    try {
      runner.start('nightly-1', {
        source: { bucket: pipeline.stack.buckets.images, key: 'disk' },
        rawBucket: pipeline.stack.buckets.raw,
        ...input,
      });
      return await runner.wait('nightly-1');
    } finally {
      await runner.close();
    }
  }

  /** A program on the managed node, as a shell script. */
  function program(name: string, script: string): void {
    writeFileSync(join(bin, name), `#!/bin/bash\nset -euo pipefail\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }

  /** Systems Manager, as far as it is spoken to: runs the command at once on this machine, where `aws` knows one object. */
  function systemsManager(): Record<string, LocalFunction> {
    let looks = 0;
    let ran = { Status: '', StandardOutputContent: '', StandardErrorContent: '' };
    return {
      'arn:aws:states:::aws-sdk:ssm:sendCommand': async (payload) => {
        const { InstanceIds, DocumentName, Parameters } = payload as {
          InstanceIds: string[];
          DocumentName: string;
          Parameters: { commands: string[] };
        };
        expect([InstanceIds, DocumentName]).toEqual([['mi-0123456789abcdef0'], 'AWS-RunShellScript']);
        const [, bucket = '', key = ''] = /s3:\/\/([^/]+)\/(\S+)/.exec(Parameters.commands.join('\n')) ?? [];
        writeFileSync(join(folder, 'object'), await rawObject(bucket, key));
        program(
          'aws',
          `[ "$1 $2" = 's3 cp' ]; if [ "$5" = - ]; then cat ${folder}/object; else cp ${folder}/object "$5"; fi`,
        );
        program('command', Parameters.commands.slice(1).join('\n'));
        expect(Parameters.commands[0]).toBe('#!/bin/bash');
        ran = { Status: 'Success', StandardOutputContent: runCommand(), StandardErrorContent: '' };
        return { Command: { CommandId: 'a-command' } };
      },
      'arn:aws:states:::aws-sdk:ssm:getCommandInvocation': async (payload) => {
        expect(payload).toEqual({ CommandId: 'a-command', InstanceId: 'mi-0123456789abcdef0' });
        looks += 1;
        if (looks === 1) throw Object.assign(new Error('not yet'), { name: 'Ssm.InvocationDoesNotExistException' });
        return looks === 2 ? { Status: 'InProgress', StandardOutputContent: '', StandardErrorContent: '' } : ran;
      },
    };
  }
  const runCommand = () =>
    execFileSync(join(bin, 'command'), { env: { PATH: `${bin}:${process.env.PATH}` }, encoding: 'utf8' });

  it('makes an AMI: convert, import the snapshot, wait for it, register', async () => {
    let looks = 0;
    const ended = await run(
      'ami.asl.json',
      { name: 'debian-12', architecture: 'x86_64' },
      {
        'arn:aws:states:::aws-sdk:ec2:importSnapshot': async (payload) => {
          const { DiskContainer, ClientToken } = payload as {
            DiskContainer: { Format: string; UserBucket: { S3Bucket: string; S3Key: string } };
            ClientToken: string;
          };
          expect(DiskContainer.Format).toBe('RAW');
          expect(ClientToken).toMatch(/^[0-9a-f]{64}$/);
          const { S3Bucket, S3Key } = DiskContainer.UserBucket;
          expect(Buffer.compare(await rawObject(S3Bucket, S3Key), expected)).toBe(0);
          return { ImportTaskId: 'import-snap-1' };
        },
        'arn:aws:states:::aws-sdk:ec2:describeImportSnapshotTasks': async (payload) => {
          expect(payload).toEqual({ ImportTaskIds: ['import-snap-1'] });
          looks += 1;
          const SnapshotTaskDetail = looks < 3 ? { Status: 'active' } : { Status: 'completed', SnapshotId: 'snap-1' };
          return { ImportSnapshotTasks: [{ SnapshotTaskDetail }] };
        },
        'arn:aws:states:::aws-sdk:ec2:registerImage': async (payload) => {
          expect(payload).toMatchObject({
            Name: 'debian-12',
            BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId: 'snap-1' } }],
          });
          return { ImageId: 'ami-1' };
        },
      },
    );
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { imageId: 'ami-1' } });
    expect(looks).toBe(3);
  });

  it('fails as the import does, and says why', async () => {
    const ended = await run(
      'ami.asl.json',
      { name: 'debian-12', architecture: 'x86_64' },
      {
        'arn:aws:states:::aws-sdk:ec2:importSnapshot': async () => ({ ImportTaskId: 'import-snap-1' }),
        'arn:aws:states:::aws-sdk:ec2:describeImportSnapshotTasks': async () => ({
          ImportSnapshotTasks: [{ SnapshotTaskDetail: { Status: 'deleted', StatusMessage: 'ClientError: no access' } }],
        }),
        'arn:aws:states:::aws-sdk:ec2:registerImage': async () => ({}),
      },
    );
    expect(ended).toMatchObject({ status: 'FAILED', error: 'IMPORT_FAILED', cause: 'ClientError: no access' });
  });

  it('makes an EBS volume out of what coldsnap uploads', async () => {
    program(
      'coldsnap',
      `[ "$1 $2 $3" = 'upload --wait --no-progress' ]; cp "$4" ${folder}/uploaded; echo snap-2; echo done >&2`,
    );
    const ended = await run(
      'ebs.asl.json',
      { node: 'mi-0123456789abcdef0', availabilityZone: 'us-east-1a' },
      {
        ...systemsManager(),
        'arn:aws:states:::aws-sdk:ec2:createVolume': async (payload) => {
          expect(payload).toMatchObject({ SnapshotId: 'snap-2', AvailabilityZone: 'us-east-1a' });
          return { VolumeId: 'vol-1', SnapshotId: 'snap-2' };
        },
      },
    );
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { volumeId: 'vol-1', snapshotId: 'snap-2' } });
    expect(Buffer.compare(readFileSync(join(folder, 'uploaded')), expected)).toBe(0);
  });

  it('streams the disk into rbd import', async () => {
    program('rbd', `[ "$1 $2 $3" = 'import --no-progress -' ]; echo "$4" > ${folder}/image; cat > ${folder}/imported`);
    const ended = await run('rbd.asl.json', { node: 'mi-0123456789abcdef0', pool: 'vms' }, systemsManager());
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { image: 'vms/nightly-1' } });
    expect(readFileSync(join(folder, 'image'), 'utf8')).toBe('vms/nightly-1\n');
    expect(Buffer.compare(readFileSync(join(folder, 'imported')), expected)).toBe(0);
  });
});
