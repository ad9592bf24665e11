import { type Execution, isRunning } from '../lib/jobs/executions.ts';
import { ConversionRequest, found } from './_shared/conversion-request.ts';
import { viewOf } from './_shared/conversion-view.ts';
import { type ExecutionDeps, onLambdaWithExecutions } from './_shared/executions.ts';
import { httpHandler, json } from './_shared/http.ts';

/**
 * `DELETE /conversions/{id}`: stops a conversion. One that has ended stays as it is. What it leaves behind is swept up when
 * its end is told. Costs three requests to Step Functions, none to S3.
 */
export const createHandler = (deps: ExecutionDeps) =>
  httpHandler(deps, ConversionRequest, async (id, { caller }) => {
    const execution = await found(deps, caller, id);
    return json(200, viewOf(id, isRunning(execution) ? await stopped(deps, id, execution) : execution));
  });

/** How it ended: by itself at the last moment, or by this. Step Functions may go on to say for a while that it runs. */
async function stopped({ executions }: ExecutionDeps, id: string, before: Execution): Promise<Execution> {
  const cause = 'its caller stopped it';
  const endedAt = await executions.stop(id, cause);
  const told = await executions.describe(id);
  return told && !isRunning(told) ? told : { ...before, status: 'ABORTED', endedAt, error: 'ABORTED', cause };
}

export const handler = onLambdaWithExecutions(createHandler);
