import * as z from 'zod';
import { isRunning } from '../lib/jobs/executions.ts';
import { type Swept, sweepAll, sweepJob } from '../lib/jobs/sweep.ts';
import { type ExecutionDeps, onLambdaWithExecutions } from './_shared/executions.ts';
import { JobName } from './_shared/schemas.ts';
import { taskHandler } from './_shared/task.ts';

export interface SweepDeps extends ExecutionDeps {
  /** Milliseconds; see `lib/jobs/sweep.ts`. */
  readonly settledAfter?: number | undefined;
}

/** EventBridge's word that an execution has ended. */
const Ended = z.object({
  source: z.literal('aws.states'),
  'detail-type': z.literal('Step Functions Execution Status Change'),
  detail: z.object({ name: JobName }),
});
const Scheduled = z.object({ source: z.literal('aws.events'), 'detail-type': z.literal('Scheduled Event') });
/** By hand: one job, or `{}` for all. */
const ByHand = z.strictObject({ job: JobName.optional() });

const SweepRequest = z.union([
  Ended.transform(({ detail }) => ({ job: detail.name })),
  Scheduled.transform(() => ({ job: undefined })),
  ByHand,
]);

/**
 * Cleans up what no Catch can: after StopExecution, States.DataLimitExceeded, a time-out of the machine, a Lambda that was
 * killed. Started when an execution has failed, timed out or been stopped, for that job; by schedule, for all.
 */
export const createHandler = (deps: SweepDeps) => {
  const { stores, config, log, executions, settledAfter } = deps;
  return taskHandler<Omit<Swept, 'error'>[]>(deps, async (event) => {
    const { job } = SweepRequest.parse(event);
    const endOf = async (name: string) => {
      const found = await executions.describe(name);
      return found && isRunning(found) ? 'running' : found?.endedAt;
    };
    const deps = { stores, work: config.work, endOf, settledAfter };
    const all = job === undefined ? await sweepAll(deps) : [await sweepJob(deps, job)];
    const failed = all.find(({ state }) => state === 'failed');
    const swept = all.map(({ error: _, ...each }) => each);
    log.info('swept', { swept });
    if (failed) throw failed.error;
    return swept;
  });
};

export const handler = onLambdaWithExecutions(createHandler);
