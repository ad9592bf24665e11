import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnqcowError } from '../../lib/errors.ts';
import { toJson } from '../../lib/format/json.ts';
import type { ConversionResult, WorkPlace } from '../../lib/jobs/conversion.ts';
import { type Execution, failureOf, isRunning, openExecutions } from '../../lib/jobs/executions.ts';
import type { Gate } from '../../lib/jobs/gate.ts';
import { madeOf, progressOf } from '../../lib/jobs/progress.ts';
import { nameOf } from '../../lib/sink/s3-target.ts';
import type { Location } from '../../lib/source/location.ts';
import { cloudRefusal } from '../cloud-refusal.ts';
import { locationOf } from '../location.ts';
import { showProgress } from '../progress.ts';
import { note, print, printWarnings } from '../report.ts';
import { describeResult } from '../result-text.ts';
import { theStores } from '../source.ts';
import { stopping } from '../stopping.ts';
import { type TermsFlags, termsOf } from '../terms-flags.ts';
import { UsageError } from '../usage.ts';

export interface CloudFlags extends TermsFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly detach?: boolean;
  /** `s3://bucket/prefix/` where the deployment keeps its jobs' records: tells how far a conversion has come. */
  readonly work: WorkPlace | undefined;
}

/** What is asked of the state machine, besides where from and where to. */
export interface CloudRequest {
  readonly snapshot?: string | undefined;
  readonly gate?: Gate | undefined;
  readonly options?: object | undefined;
  readonly keys?: Readonly<Record<string, string>> | undefined;
}

/** Milliseconds between two looks. */
const POLL = 2_000;

/**
 * `unqcow convert --state-machine ARN`: starts a conversion in the cloud and follows it to its end. Ctrl-C stops it, and
 * the deployment cleans up; with `--detach` it is only started.
 */
export async function convertInCloud(
  stateMachine: string,
  names: { readonly source: string; readonly target: string },
  request: CloudRequest,
  flags: CloudFlags,
): Promise<void> {
  const { bucket, key, versionId } = inS3(locationOf(names.source), 'the image');
  const destination = inS3(locationOf(names.target), 'the target');
  const terms = termsOf(flags, [names.source, names.target]);
  const input = {
    source: { bucket, key, versionId, ...terms },
    destination: { bucket: destination.bucket, key: destination.key, owner: terms.owner },
    ...request,
  };
  const executions = openExecutions(stateMachine);
  const answered = <T>(answer: Promise<T>) =>
    answer.catch((error) => {
      throw cloudRefusal(error, stateMachine);
    });
  const id = `cli-${createHash('sha256')
    .update(JSON.stringify([input, Date.now()]))
    .digest('hex')
    .slice(0, 40)}`;
  // Heard from before it is started on: what a signal meets on its way there is stopped, too.
  using stop = stopping();
  await answered(executions.start(id, input));
  if (flags.detach && !stop.signal.aborted) {
    print(flags.json ? toJson({ id, state: 'running' }, 4) : `started ${id}`);
    return;
  }
  if (!flags.quiet && !flags.json) note(`started ${id}`);
  const ended = await follow(() => answered(executions.describe(id)), id, flags, stop.signal);
  if (ended) return tell(ended, flags);
  await answered(executions.stop(id, 'stopped from the command line'));
  throw new UnqcowError('ABORTED', `the conversion ${id} was stopped; its deployment cleans up`);
}

function inS3(location: Location, what: string) {
  if (location.kind === 's3') return location;
  throw new UsageError(`${what} of a conversion in the cloud lies in S3: ${location.path} is a file`);
}

/** The execution once it has ended; nothing if the signal came first. */
async function follow(
  describe: () => Promise<Execution | undefined>,
  id: string,
  { quiet, json, work }: CloudFlags,
  signal: AbortSignal,
): Promise<Execution | undefined> {
  const progress = showProgress({ quiet: quiet === true || json === true });
  try {
    while (!signal.aborted) {
      const execution = await describe();
      if (execution && !isRunning(execution)) return execution;
      const made = work && (await progressOf(await theStores(), work, id).catch(() => undefined));
      if (made) progress.update(made.bytes.done, made.bytes.total, madeOf(made.cells ?? ''));
      await sleep(POLL, undefined, { signal }).catch(() => undefined);
    }
    return undefined;
  } finally {
    progress.end();
  }
}

function tell(execution: Execution, { json }: CloudFlags): void {
  if (execution.status !== 'SUCCEEDED') {
    const { code, message } = failureOf(execution);
    throw new UnqcowError(code, message);
  }
  const { startedAt, endedAt } = execution;
  const result = execution.output as ConversionResult;
  if (json) {
    print(toJson(result, 4));
    return;
  }
  printWarnings(result.warnings);
  const seconds = ((endedAt ?? startedAt).getTime() - startedAt.getTime()) / 1000;
  print(describeResult({ ...result, target: nameOf(result.destination) }, seconds));
}
