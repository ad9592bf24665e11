import { createHash } from 'node:crypto';
import middy from '@middy/core';
import { UnqcowError } from '../lib/errors.ts';
import { headObject } from '../lib/sink/s3-object.ts';
import { assertAllowed } from './_shared/config.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { namedErrors, ON_TIMEOUT } from './_shared/errors.ts';
import { type Executions, openExecutions } from './_shared/executions.ts';
import { type Created, createdObjects } from './_shared/upload-events.ts';

export interface UploadDeps extends Deps {
  readonly executions: Executions;
}

/** What became of one object. */
export interface Triggered {
  readonly key: string;
  readonly outcome: 'started' | 'running' | 'done' | 'ignored';
  readonly execution?: string;
}

/** A name is taken for 90 days, so one that failed is tried again under the next. */
const MAX_ATTEMPTS = 20;

/**
 * An object was created: starts its conversion. The execution's name is a hash of what is converted from where to where, and of
 * which upload it was, so the same event delivered twice starts one, and an image that comes back after another does again. Costs one request; where the name is taken, one or two more per attempt.
 */
export const createHandler = (deps: UploadDeps) =>
  middy<unknown, Triggered[]>(ON_TIMEOUT)
    .use(namedErrors(deps.log))
    .handler(async (event) => {
      const triggered = await Promise.all(createdObjects(event).map((object) => trigger(deps, object)));
      for (const each of triggered) deps.log.info(each.outcome, { ...each });
      return triggered;
    });

async function trigger(deps: UploadDeps, object: Created): Promise<Triggered> {
  const { config } = deps;
  const { key } = object;
  const isImage = config.uploadSuffixes.some((suffix) => key.toLowerCase().endsWith(suffix));
  if (!isImage) return { key, outcome: 'ignored' };
  if (!config.uploadDestination) throw new UnqcowError('INTERNAL', 'UNQCOW_UPLOAD_DESTINATION is not set');
  const { bucket, prefix } = config.uploadDestination;
  const destination = { bucket, key: `${prefix}${key}.raw` };
  assertAllowed(config.sources, object);
  assertAllowed(config.destinations, destination);
  const { sequencer, ...source } = object;
  return startOnce(deps, { source, destination }, sequencer);
}

interface Input {
  readonly source: Omit<Created, 'sequencer'>;
  readonly destination: { readonly bucket: string; readonly key: string };
}

async function startOnce({ executions, stores }: UploadDeps, input: Input, sequencer: string): Promise<Triggered> {
  const { key } = input.source;
  const hash = createHash('sha256')
    .update(JSON.stringify([input, sequencer]))
    .digest('hex')
    .slice(0, 40);
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const execution = `${hash}-${attempt}`;
    if (await executions.start(execution, input)) return { key, execution, outcome: 'started' };
    const status = await executions.status(execution);
    if (status === 'RUNNING' || status === 'PENDING_REDRIVE') return { key, execution, outcome: 'running' };
    const stands = status === 'SUCCEEDED' && (await headObject(stores.writer, input.destination)) !== undefined;
    if (stands) return { key, execution, outcome: 'done' };
  }
  throw new UnqcowError('DESTINATION_UNAVAILABLE', `the conversion of ${key} failed ${MAX_ATTEMPTS} times`);
}

export const handler = onLambda((deps) => {
  const { stateMachineArn } = deps.config;
  if (!stateMachineArn) throw new Error('UNQCOW_STATE_MACHINE_ARN is not set');
  return createHandler({ ...deps, executions: openExecutions(stateMachineArn) });
});
