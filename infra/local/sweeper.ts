import type { ExecutionDeps } from '../../functions/_shared/executions.ts';
import * as sweep from '../../functions/sweep.ts';
import { arnOf } from './stack-config.ts';
import type { Lambda } from './stack-options.ts';
import { lambdaContext } from './step-functions/lambda-task.ts';

const EVERY = 10 * 60_000;
const TIMEOUT = 900_000;

export interface LocalSweeper {
  /** Sweeps after all jobs that have ended, as by schedule. */
  sweep(): Promise<unknown>;
  /** Tells it that an execution has ended without success. */
  ended(execution: string): void;
  /** Waits for what is being swept, and starts nothing more by itself. */
  close(): Promise<void>;
}

/** The sweeper as EventBridge starts it: when an execution has not succeeded, and by schedule. */
export function startSweeper(deps: sweep.SweepDeps, lambda: Lambda): LocalSweeper {
  const handler = lambda('sweep', () => sweep.createHandler(deps));
  const running = new Set<Promise<unknown>>();
  let isClosed = false;
  const start = (event: unknown) => {
    const swept = handler(event, context());
    running.add(swept);
    // What failed is in the log, and the schedule comes again.
    void swept.catch(() => undefined).finally(() => running.delete(swept));
    return swept;
  };
  const schedule = setInterval(() => void start({}).catch(() => undefined), EVERY).unref();
  return {
    sweep: () => start({}),
    ended(name) {
      if (!isClosed) void start({ job: name }).catch(() => undefined);
    },
    async close() {
      isClosed = true;
      clearInterval(schedule);
      await Promise.allSettled(running);
    },
  };
}

/** Sweeps after the last stack on this data: whatever ran when it ended, ended with it. */
export async function sweepLeftOver(deps: ExecutionDeps): Promise<void> {
  await sweep.createHandler({ ...deps, settledAfter: 0 })({}, context());
}

const context = () => lambdaContext(arnOf('sweep'), Date.now() + TIMEOUT);
