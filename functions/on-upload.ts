import { type ErrorCode, UnqcowError } from '../lib/errors.ts';
import { openS3 } from '../lib/source/s3.ts';
import { isAllowed } from './_shared/allowed.ts';
import { type ExecutionDeps, onLambdaWithExecutions } from './_shared/executions.ts';
import { hashOf, type Started, startOnce } from './_shared/start-once.ts';
import { taskHandler } from './_shared/task.ts';
import { type Created, createdObjects } from './_shared/upload-events.ts';

/** What became of one object. */
export type Triggered = Pick<Created, 'bucket' | 'key'> & (Pick<Started, 'outcome' | 'execution'> | Ignored);

interface Ignored {
  readonly outcome: 'ignored';
  /** Its suffix, or the code of an error. */
  readonly why: string;
}

/**
 * Objects were created: starts their conversions. An execution's name is a hash of what is converted from where to where,
 * and of which upload it was: the same event delivered twice starts one, and an image that comes back after another does
 * again. What is no image is left alone with a line in the log, as is what was replaced meanwhile: that has an event of
 * its own.
 *
 * Costs for each a GET of 64 KiB and a StartExecution; where the name is taken, one or two requests more per attempt.
 */
export const createHandler = (deps: ExecutionDeps) =>
  taskHandler(deps, async (event): Promise<Triggered[]> => {
    const triggered = await Promise.all(createdObjects(event).map((object) => trigger(deps, object)));
    for (const each of triggered) deps.log.info(each.outcome, { ...each });
    return triggered;
  });

async function trigger(deps: ExecutionDeps, object: Created): Promise<Triggered> {
  const { config } = deps;
  const { key, sequencer, ...rest } = object;
  const source = { ...rest, key };
  const ignored = (why: string): Triggered => ({ bucket: object.bucket, key, outcome: 'ignored', why });
  if (!config.uploadSuffixes.some((suffix) => key.toLowerCase().endsWith(suffix))) return ignored('its suffix');
  if (!config.uploadDestination) throw new UnqcowError('INTERNAL', 'UNQCOW_UPLOAD_DESTINATION is not set');
  const { bucket, prefix } = config.uploadDestination;
  const destination = { bucket, key: `${prefix}${key}.raw` };
  const allowed = isAllowed(config.sources, source) && isAllowed(config.destinations, destination);
  if (!allowed) return ignored('NOT_ALLOWED');
  const refusal = await refusalOf(deps, source);
  if (refusal !== undefined) return ignored(refusal);
  const input = { source, destination };
  const { outcome, execution } = await startOnce(deps, hashOf([input, sequencer]), input);
  return { bucket: object.bucket, key, outcome, execution };
}

/** What begins every image of every version. */
const MAGIC = 'QFI\xfb';

/** Why an object is not to be converted, if it is not. Costs a GET of 64 KiB. */
async function refusalOf(
  { stores }: ExecutionDeps,
  source: Omit<Created, 'sequencer'>,
): Promise<ErrorCode | undefined> {
  try {
    const object = await openS3(stores.reader, source);
    const start = await object.read({ start: 0, end: Math.min(MAGIC.length, object.size) });
    return Buffer.from(start).toString('latin1') === MAGIC ? undefined : 'NOT_QCOW';
  } catch (error) {
    // Replaced or deleted since: whatever is there now has an event of its own.
    if (error instanceof UnqcowError && error.code === 'SOURCE_CHANGED') return error.code;
    throw error;
  }
}

export const handler = onLambdaWithExecutions(createHandler);
