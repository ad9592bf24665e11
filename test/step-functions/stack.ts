import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { startLocalS3 } from '../../infra/local/s3/server.ts';
import {
  type Description,
  type ExecutionEvent,
  type LocalFunction,
  type LocalStepFunctions,
  startStepFunctions,
} from '../../infra/local/step-functions/server.ts';
import { stateMachineDefinition } from '../../infra/state-machine.ts';
import { UnqcowError } from '../../lib/errors.ts';
import { createUpload } from '../../lib/sink/s3-multipart.ts';

export const STATE_MACHINE_ARN = 'arn:aws:states:us-east-1:000000000000:stateMachine:unqcow';

export const arnOf = (name: string): string => `arn:aws:lambda:us-east-1:000000000000:function:${name}`;

export const SUBSTITUTIONS = {
  PlanFunctionArn: arnOf('plan'),
  ConvertWholeFunctionArn: arnOf('convert-whole'),
  ConvertPartFunctionArn: arnOf('convert-part'),
  CompleteFunctionArn: arnOf('complete'),
} as const;

export const REQUEST = {
  source: { bucket: 'images', key: 'disk.qcow2' },
  destination: { bucket: 'disks', key: 'disk.raw' },
} as const;

/** The four Lambdas as plain functions. What a test does not give answers `{}`, Plan with a plan of three shares. */
export interface Functions {
  readonly plan: LocalFunction;
  readonly convertWhole: LocalFunction;
  readonly convertPart: LocalFunction;
  readonly complete: LocalFunction;
}

export interface Stack {
  readonly s3: S3Client;
  /** A client of its own to the same S3, for a test to meddle with. */
  client(): S3Client;
  put(bucket: string, key: string, body: string): Promise<void>;
  get(bucket: string, key: string): Promise<string>;
  /** Opens an upload, and answers with its id. */
  open(destination: { readonly bucket: string; readonly key: string }): Promise<string>;
  /** Upload ids that are open in the bucket of disks. */
  uploads(): Promise<string[]>;
  /** A machine of its own for each test, without waits between attempts. */
  machine(functions?: Partial<Functions>, options?: MachineOptions): Promise<TestMachine>;
  close(): Promise<void>;
}

interface MachineOptions {
  /** Instead of the state machine as it is. */
  readonly definition?: unknown;
  /** Instead of the stack's own client. */
  readonly s3?: S3Client;
  readonly mapConcurrency?: number;
}

export interface TestMachine extends LocalStepFunctions {
  readonly events: ExecutionEvent[];
  /** Names of the states entered so far. */
  states(): string[];
  /** Starts an execution and waits for its end. */
  run(input?: unknown, name?: string): Promise<Description>;
}

/** A real S3 over loopback, with the buckets `disks` and `work`. */
export async function startStack(): Promise<Stack> {
  const dir = await mkdtemp(join(tmpdir(), 'unqcow-step-functions-'));
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  const server = await startLocalS3({ dir, credentials });
  const config = { endpoint: server.endpoint, region: 'us-east-1', credentials, forcePathStyle: true, maxAttempts: 1 };
  const s3 = new S3Client(config);
  for (const Bucket of ['disks', 'work']) await s3.send(new CreateBucketCommand({ Bucket }));
  const machines: LocalStepFunctions[] = [];
  const stack: Stack = {
    s3,
    client: () => new S3Client(config),
    async put(Bucket, Key, Body) {
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.from(Body) }));
    },
    async get(Bucket, Key) {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      return (await Body?.transformToString()) ?? '';
    },
    async open(destination) {
      return (await createUpload(s3, destination)).uploadId;
    },
    async uploads() {
      const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: 'disks' }));
      return Uploads.map(({ UploadId }) => UploadId ?? '');
    },
    async machine(functions, options) {
      const machine = await startMachine(stack, functions ?? {}, options ?? {});
      machines.push(machine);
      return machine;
    },
    async close() {
      for (const machine of machines) await machine.close();
      s3.destroy();
      await server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return stack;
}

let executions = 0;

async function startMachine(
  stack: Stack,
  functions: Partial<Functions>,
  options: MachineOptions,
): Promise<TestMachine> {
  const events: ExecutionEvent[] = [];
  const { plan = planOf(stack, 3), convertWhole = empty, convertPart = empty, complete = empty } = functions;
  const runner = await startStepFunctions({
    definition: options.definition ?? stateMachineDefinition(SUBSTITUTIONS),
    stateMachineArn: STATE_MACHINE_ARN,
    functions: {
      [SUBSTITUTIONS.PlanFunctionArn]: plan,
      [SUBSTITUTIONS.ConvertWholeFunctionArn]: convertWhole,
      [SUBSTITUTIONS.ConvertPartFunctionArn]: convertPart,
      [SUBSTITUTIONS.CompleteFunctionArn]: complete,
    },
    s3: options.s3 ?? stack.s3,
    retryDelayScale: 0,
    mapConcurrency: options.mapConcurrency ?? 1000,
    onEvent: (event) => events.push(event),
  });
  return {
    ...runner,
    events,
    states: () => events.flatMap((event) => (event.type === 'state' ? [event.state] : [])),
    run(input = REQUEST, name = `execution-${++executions}`) {
      runner.start(name, input);
      return runner.wait(name);
    },
  };
}

const empty: LocalFunction = async () => ({});

/** A Plan that writes `shares` items and answers as the real one does for a disk of many parts. */
export function planOf(stack: Stack, shares: number, changes: Readonly<Record<string, unknown>> = {}): LocalFunction {
  return async (payload) => {
    const { job, request } = payload as { job: string; request: typeof REQUEST };
    const items = Array.from({ length: shares }, (_, share) => `${JSON.stringify({ share, text: 'Grüße\u2028' })}\n`);
    await stack.put('work', `${job}/items.jsonl`, items.join(''));
    return {
      mode: 'parts',
      job,
      destination: request.destination,
      upload: { uploadId: await stack.open(request.destination) },
      items: { bucket: 'work', key: `${job}/items.jsonl` },
      results: { bucket: 'work', prefix: `${job}/results` },
      failure: { bucket: 'work', key: `${job}/failure.json` },
      plan: { bucket: 'work', key: `${job}/plan.json` },
      maxConcurrency: 2,
      ...changes,
    };
  };
}

/** A function that throws `code` as often as `times`, then answers `answer`; `calls` counts. */
export function failing(code: string, times = Number.POSITIVE_INFINITY, answer: unknown = {}) {
  const counted = {
    calls: 0,
    fn: (async () => {
      counted.calls += 1;
      if (counted.calls <= times) throw codeError(code);
      return answer;
    }) as LocalFunction,
  };
  return counted;
}

/** Our error for our codes; for a service's own, an Error of that name. */
export function codeError(code: string, message = `${code} happened`): Error {
  if (/^[A-Z0-9_]+$/.test(code)) return new UnqcowError(code as UnqcowError['code'], message);
  return Object.assign(new Error(message), { name: code });
}
