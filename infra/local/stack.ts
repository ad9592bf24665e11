import { join } from 'node:path';
import { checkedConfig } from '../../functions/_shared/config.ts';
import { type Deps, depsFor } from '../../functions/_shared/deps.ts';
import { type ExecutionDeps, openExecutions } from '../../functions/_shared/executions.ts';
import { vaultFor } from '../../functions/_shared/secrets.ts';
import type { StreamedHandler } from '../../functions/_shared/streaming.ts';
import * as onUpload from '../../functions/on-upload.ts';
import * as viewDisk from '../../functions/view-disk.ts';
import { invokedAsync } from './async-invocation.ts';
import { startFunctionUrl } from './function-url.ts';
import { startHttpApi } from './http-api.ts';
import { httpRoutes } from './http-routes.ts';
import type { LocalS3 } from './s3/server.ts';
import type { LocalSecretsManager } from './secrets-manager.ts';
import { arnOf, configOf, STATE_MACHINE } from './stack-config.ts';
import { startMachine } from './stack-machine.ts';
import type { Buckets, Lambda, Services, StackOptions, StoreConfig } from './stack-options.ts';
import { type Stores, startStores } from './stack-stores.ts';
import { openJournal } from './step-functions/journal.ts';
import { lambdaContext } from './step-functions/lambda-task.ts';
import type { LocalFunction, LocalStepFunctions } from './step-functions/server.ts';
import { startSweeper, sweepLeftOver } from './sweeper.ts';

export type { Services, StackOptions, StoreConfig } from './stack-options.ts';

export interface LocalStack {
  readonly store: StoreConfig;
  readonly buckets: Buckets;
  readonly apiEndpoint: string;
  readonly stateMachineArn: string;
  readonly stepFunctions: LocalStepFunctions;
  /** The local S3, if it is ours. */
  readonly s3: LocalS3 | undefined;
  readonly secrets: LocalSecretsManager | undefined;
  /** Gives an event to the upload trigger, once. */
  trigger(event: unknown): Promise<onUpload.Triggered[]>;
  /** The same as S3 and EventBridge have it: what fails is tried again. @throws what ends up in the queue of failures. */
  deliver(event: unknown): Promise<onUpload.Triggered[]>;
  /** Cleans up after all jobs that have ended, as by schedule. After each that fails it is done without asking. */
  sweep(): Promise<unknown>;
  close(): Promise<void>;
}

const SILENT: Deps['log'] = { info: () => undefined, warn: () => undefined, error: () => undefined };

/**
 * The whole of unqcow on this machine: an S3, the HTTP API, the upload trigger, and the state machine's real definition
 * over the real handlers. Whatever is uploaded to `images` as `*.qcow2` comes out in `raw`. What another stack on this data was
 * killed in the middle of is started again.
 */
export async function startStack(options: StackOptions): Promise<LocalStack> {
  const { buckets = { images: 'images', raw: 'raw', work: 'unqcow-work' } } = options;
  // Stops what has been started if a later part fails to start.
  await using started = new AsyncDisposableStack();
  // The S3 and the state machine are there before the functions that their events go to.
  const uploads: { handle: (event: unknown) => void } = { handle: () => undefined };
  const ends: { handle: (name: string) => void } = { handle: () => undefined };
  const stores = await startStores(options, buckets, started, (event) => uploads.handle(event));
  const { store, s3, client, secrets } = stores;
  // Its URL is part of the configuration that its handler is made with. Links are signed, so it needs the secret.
  const view: { handle?: StreamedHandler } = {};
  const views =
    secrets && (await startFunctionUrl((event, context) => (view.handle as StreamedHandler)(event, context)));
  if (views) started.defer(() => views.close());
  const services: Services = {
    store,
    ...(secrets ? { secretsManager: secrets.endpoint } : {}),
    ...(views ? { viewUrl: views.endpoint } : {}),
  };
  const lambda: Lambda = (name, create) => options.lambda?.(name, create, services) ?? create();
  const deps = depsOf(options, buckets, stores, views?.endpoint);
  view.handle = lambda('view-disk', () => viewDisk.createHandler(deps) as LocalFunction) as StreamedHandler;
  const { stateMachineArn = STATE_MACHINE } = deps.config;
  const stepFunctions = await startMachine(deps, lambda, {
    stateMachineArn,
    journal: 'dir' in options.store ? openJournal(join(options.store.dir, 'executions')) : undefined,
    s3: client,
    port: options.stepFunctionsPort ?? 0,
    mapConcurrency: options.workers ?? 2,
    retryDelayScale: options.retryDelayScale ?? 1,
    onEvent(event) {
      if (event.type === 'ended' && event.status !== 'SUCCEEDED') ends.handle(event.execution);
      options.onEvent?.(event);
    },
  });
  started.defer(() => stepFunctions.close());
  services.stepFunctions = stepFunctions.endpoint;
  const { region, credentials } = store;
  const executions = openExecutions(stateMachineArn, { endpoint: stepFunctions.endpoint, region, credentials });
  const { apiEndpoint, trigger, deliver, sweeper } = await startCallers(
    { ...deps, executions },
    lambda,
    options,
    started,
  );
  // What failed is in the log already.
  const tell = (all: onUpload.Triggered[]) =>
    options.onUploads?.(all.filter(({ bucket }) => bucket === buckets.images));
  uploads.handle = (event) => void deliver(event).then(tell, () => undefined);
  ends.handle = sweeper.ended;
  if (s3) await sweepLeftOver({ ...deps, executions });
  stepFunctions.resume();
  const { sweep } = sweeper;
  const parts = started.move();
  const close = () => parts.disposeAsync();
  return {
    ...{ store, buckets, apiEndpoint, stateMachineArn, stepFunctions, s3, secrets },
    ...{ trigger, deliver, sweep, close },
  };
}

/** What the functions find around them, in the configuration that fits. */
function depsOf(
  options: StackOptions,
  buckets: Buckets,
  { store, secrets }: Stores,
  viewUrl: string | undefined,
): Deps {
  const config = checkedConfig({ ...configOf(buckets, secrets !== undefined), viewUrl, ...options.config });
  const made = depsFor(config, options.log ?? SILENT, store, options.emit);
  const vault = secrets && vaultFor(config, { endpoint: secrets.endpoint, credentials: store.credentials });
  return { ...made, vault, stores: options.stores?.(store) ?? made.stores, limits: options.limits };
}

/** What starts executions and what looks after them: the HTTP API, the upload trigger, the sweeper. */
async function startCallers(
  deps: ExecutionDeps,
  lambda: Lambda,
  { apiPort, authorizer, settledAfter, retryDelayScale = 1 }: StackOptions,
  started: AsyncDisposableStack,
) {
  const api = await startHttpApi(httpRoutes(deps, lambda), { port: apiPort, authorizer });
  started.defer(() => api.close());
  const upload = lambda('on-upload', () => onUpload.createHandler(deps)) as ReturnType<typeof onUpload.createHandler>;
  const trigger = (event: unknown) => upload(event, lambdaContext(arnOf('on-upload'), Date.now() + 60_000));
  const stopped = new AbortController();
  started.defer(() => stopped.abort());
  const deliver = (event: unknown) => invokedAsync(() => trigger(event), { retryDelayScale, signal: stopped.signal });
  const sweeper = startSweeper({ ...deps, settledAfter }, lambda);
  started.defer(() => sweeper.close());
  return { apiEndpoint: api.endpoint, trigger, deliver, sweeper };
}
