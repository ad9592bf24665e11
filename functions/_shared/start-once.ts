import { createHash } from 'node:crypto';
import * as z from 'zod';
import { UnqcowError } from '../../lib/errors.ts';
import { type Execution, type Executions, isRunning } from '../../lib/jobs/executions.ts';
import { headObject } from '../../lib/sink/s3-object.ts';
import { quoted } from '../../lib/sink/s3-request.ts';
import type { Deps } from './deps.ts';

type StartsAndTells = Pick<Executions, 'start' | 'describe'>;

export interface StartDeps extends Pick<Deps, 'stores'> {
  readonly executions: StartsAndTells;
}

/** What became of a request for a conversion. */
export interface Started {
  readonly outcome: 'started' | 'running' | 'done';
  /** The execution's name, and so the job. */
  readonly execution: string;
  /** As far as it is known without asking again. */
  readonly as: Execution;
}

interface Input {
  readonly destination: { readonly bucket: string; readonly key: string };
}

/** Of a series. A name is taken for 90 days, so one that failed is tried again under the next. */
const MAX_ATTEMPTS = 20;

/** The same request, the same name. */
export const hashOf = (request: unknown): string =>
  createHash('sha256').update(JSON.stringify(request)).digest('hex').slice(0, 40);

/**
 * Starts a conversion, unless one of that name runs, or has succeeded and its disk is there still. Attempts that fail make
 * up a series; one that succeeds ends it, and where its disk was deleted or replaced since, the next series begins.
 *
 * Costs one request; where the name is taken, one or two more per attempt of the first and the last series, and two each
 * time that the number of series doubles.
 *
 * @param name Stands for the request: see `hashOf`.
 * @throws UnqcowError `FAILED_TOO_OFTEN` after 20 in a row that failed or were stopped; `TOO_MANY_REQUESTS`.
 */
export async function startOnce({ executions, stores }: StartDeps, name: string, input: Input): Promise<Started> {
  let series = 1;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const execution = nameOf(name, series, attempt);
    const begun = await startNow(executions, execution, input);
    if (begun) return { outcome: 'started', execution, as: begun };
    const as = await describeTaken(executions, execution);
    if (isRunning(as)) return { outcome: 'running', execution, as };
    if (as.status !== 'SUCCEEDED') continue;
    if (await isThere(stores, input, as)) return { outcome: 'done', execution, as };
    series = await openSeries(series, async (each) => Boolean(await executions.describe(nameOf(name, each, 1))));
    attempt = 0;
  }
  throw new UnqcowError(
    'FAILED_TOO_OFTEN',
    `the conversion ${name} failed or was stopped ${MAX_ATTEMPTS} times in a row`,
  );
}

/** What a conversion says of the disk that it made. */
const Output = z.object({ destination: z.object({ etag: z.string() }) });

/** Whether the disk that it made lies there still. Costs one request. */
async function isThere({ writer }: Deps['stores'], { destination }: Input, { output }: Execution): Promise<boolean> {
  const made = Output.safeParse(output).data?.destination.etag;
  const object = await headObject(writer, destination);
  return object !== undefined && made !== undefined && quoted(object.etag) === quoted(made);
}

const nameOf = (name: string, series: number, attempt: number) =>
  [name, ...(series > 1 ? [series] : []), attempt].join('-');

/**
 * The execution as it is just after its start, told without asking; nothing if the name is taken. What one asks Step
 * Functions itself right after a start may not be known to it yet.
 */
export async function startNow(
  executions: Pick<Executions, 'start'>,
  name: string,
  input: unknown,
): Promise<Execution | undefined> {
  const startedAt = await executions.start(name, input);
  return startedAt && { status: 'RUNNING', startedAt, input };
}

/** An execution whose name is taken. @throws UnqcowError `TOO_MANY_REQUESTS` if Step Functions does not tell of it yet. */
export async function describeTaken(executions: Pick<Executions, 'describe'>, name: string): Promise<Execution> {
  const known = await executions.describe(name);
  if (known) return known;
  throw new UnqcowError(
    'TOO_MANY_REQUESTS',
    `the conversion ${name} was asked for a moment ago, and is not told of yet`,
  );
}

/** The series after one that has succeeded: the last that was begun, or the next. They are begun one after the other. */
async function openSeries(ended: number, isBegun: (series: number) => Promise<boolean>): Promise<number> {
  let [begun, open] = [ended, ended + 1];
  while (await isBegun(open)) [begun, open] = [open, open * 2];
  while (open - begun > 1) {
    const middle = Math.floor((begun + open) / 2);
    if (await isBegun(middle)) begun = middle;
    else open = middle;
  }
  return begun > ended ? begun : open;
}
