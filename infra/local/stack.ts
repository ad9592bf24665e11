import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { Config } from '../../functions/_shared/config.ts';
import { type Deps, depsFor } from '../../functions/_shared/deps.ts';
import { openExecutions } from '../../functions/_shared/executions.ts';
import * as complete from '../../functions/complete.ts';
import * as convertPart from '../../functions/convert-part.ts';
import * as convertWhole from '../../functions/convert-whole.ts';
import * as getImage from '../../functions/get-image.ts';
import * as onUpload from '../../functions/on-upload.ts';
import * as plan from '../../functions/plan.ts';
import { stateMachineDefinition } from '../state-machine.ts';
import { startHttpApi } from './http-api.ts';
import { type LocalS3, startLocalS3 } from './s3/server.ts';
import { lambdaContext } from './step-functions/lambda-task.ts';
import { type ExecutionEvent, type LocalStepFunctions, startStepFunctions } from './step-functions/server.ts';

/** An S3 to use, and who we are to it. */
export interface StoreConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface StackOptions {
  /** Where the local S3 keeps its data; or a store that runs already, which then sends no upload events. */
  readonly store: { readonly dir: string; readonly port?: number } | StoreConfig;
  readonly buckets?: Buckets;
  readonly log?: Deps['log'];
  readonly onEvent?: (event: ExecutionEvent) => void;
  /** Workers at once, each with up to 256 MiB of parts: here they share one machine. */
  readonly workers?: number;
  readonly outputLimit?: number;
  /** Factor on the waits between the state machine's retries. */
  readonly retryDelayScale?: number;
  /** Ports of the HTTP API and of Step Functions; any that are free if left out. */
  readonly apiPort?: number;
  readonly stepFunctionsPort?: number;
}

export interface Buckets {
  readonly images: string;
  readonly raw: string;
  readonly work: string;
}

export interface LocalStack {
  readonly store: StoreConfig;
  readonly buckets: Buckets;
  readonly apiEndpoint: string;
  readonly stepFunctions: LocalStepFunctions;
  /** The local S3, if it is ours. */
  readonly s3: LocalS3 | undefined;
  /** Gives an event to the upload trigger, as S3 or EventBridge would. */
  trigger(event: unknown): Promise<onUpload.Triggered[]>;
  close(): Promise<void>;
}

const REGION = 'us-east-1';
const STATE_MACHINE = `arn:aws:states:${REGION}:000000000000:stateMachine:unqcow`;
const arnOf = (name: string) => `arn:aws:lambda:${REGION}:000000000000:function:${name}`;
const SILENT: Deps['log'] = { info: () => undefined, warn: () => undefined, error: () => undefined };

/**
 * The whole of unqcow on this machine: an S3, the HTTP API, the upload trigger, and the state machine's real definition
 * over the real handlers. Whatever is uploaded to `images` as `*.qcow2` comes out in `raw`.
 */
export async function startStack(options: StackOptions): Promise<LocalStack> {
  const started: (() => Promise<void>)[] = [];
  try {
    return await startParts(options, started);
  } catch (error) {
    for (const stop of started.reverse()) await stop();
    throw error;
  }
}

/** @param started Gets what stops each part, as it is started. */
async function startParts(options: StackOptions, started: (() => Promise<void>)[]): Promise<LocalStack> {
  const { buckets = { images: 'images', raw: 'raw', work: 'unqcow-work' }, log = SILENT } = options;
  // The S3 is there before the functions that its events go to.
  const uploads: { handle: (event: unknown) => void } = { handle: () => undefined };
  const s3 = 'dir' in options.store ? await startOwnS3(options.store, (event) => uploads.handle(event)) : undefined;
  if (s3) started.push(() => s3.close());
  const store = 'dir' in options.store ? storeOf(s3 as LocalS3) : options.store;
  const client = new S3Client({ ...store, forcePathStyle: true, requestChecksumCalculation: 'WHEN_REQUIRED' });
  await Promise.all(Object.values(buckets).map((bucket) => ensureBucket(client, bucket)));

  const deps = depsFor(configOf(buckets, options.outputLimit), log, store);
  const stepFunctions = await startStepFunctions({
    definition: stateMachineDefinition({
      PlanFunctionArn: arnOf('plan'),
      ConvertWholeFunctionArn: arnOf('convert-whole'),
      ConvertPartFunctionArn: arnOf('convert-part'),
      CompleteFunctionArn: arnOf('complete'),
    }),
    stateMachineArn: STATE_MACHINE,
    functions: {
      [arnOf('plan')]: plan.createHandler(deps),
      [arnOf('convert-whole')]: convertWhole.createHandler(deps),
      [arnOf('convert-part')]: convertPart.createHandler(deps),
      [arnOf('complete')]: complete.createHandler(deps),
    },
    s3: client,
    mapConcurrency: options.workers ?? 2,
    retryDelayScale: options.retryDelayScale ?? 1,
    ...(options.stepFunctionsPort ? { port: options.stepFunctionsPort } : {}),
    ...(options.onEvent ? { onEvent: options.onEvent } : {}),
  });
  started.push(() => stepFunctions.close());
  const api = await startHttpApi(routes(deps), options.apiPort);
  const upload = onUpload.createHandler({ ...deps, executions: executionsAt(stepFunctions.endpoint, store) });
  const trigger = (event: unknown) => upload(event, lambdaContext(arnOf('on-upload'), Date.now() + 60_000));
  // A failed delivery is in the log already; S3 would deliver it again, but not for ever.
  uploads.handle = (event) => void trigger(event).catch(() => undefined);
  return {
    store,
    buckets,
    apiEndpoint: api.endpoint,
    stepFunctions,
    s3,
    trigger,
    async close() {
      await stepFunctions.close();
      await api.close();
      await s3?.close();
      client.destroy();
    },
  };
}

function routes(deps: Deps) {
  const image = getImage.createHandler(deps);
  return { 'GET /images/{bucket}/{key+}': image, 'GET /images/{bucket}': image };
}

async function startOwnS3(
  { dir, port = 0 }: { readonly dir: string; readonly port?: number },
  onCreated: (event: unknown) => void,
) {
  const data = join(dir, 's3');
  await mkdir(data, { recursive: true });
  return startLocalS3({ dir: data, port, credentials: LOCAL_CREDENTIALS, onCreated });
}

/** For a server that only this machine can reach. */
const LOCAL_CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local-secret' };

const storeOf = ({ endpoint }: LocalS3): StoreConfig => ({ endpoint, region: REGION, credentials: LOCAL_CREDENTIALS });

function configOf({ images, raw, work }: Buckets, outputLimit: number | undefined): Config {
  return {
    sources: [{ bucket: images, prefix: '' }],
    destinations: [{ bucket: raw, prefix: '' }],
    work: { bucket: work, prefix: '' },
    uploadDestination: { bucket: raw, prefix: '' },
    uploadSuffixes: ['.qcow2', '.qcow'],
    outputLimit,
    stateMachineArn: STATE_MACHINE,
  };
}

function executionsAt(endpoint: string, { region, credentials }: StoreConfig) {
  return openExecutions(STATE_MACHINE, { endpoint, region, credentials });
}

async function ensureBucket(client: S3Client, bucket: string): Promise<void> {
  const there = await client.send(new HeadBucketCommand({ Bucket: bucket })).catch(() => undefined);
  if (!there) await client.send(new CreateBucketCommand({ Bucket: bucket }));
}
