import type { ConversionResult } from '../lib/jobs/conversion.ts';
import { type Execution, isRunning } from '../lib/jobs/executions.ts';
import { finished, progressOf } from '../lib/jobs/progress.ts';
import { ConversionRequest, found } from './_shared/conversion-request.ts';
import { viewOf } from './_shared/conversion-view.ts';
import { type ExecutionDeps, onLambdaWithExecutions } from './_shared/executions.ts';
import { httpHandler, json } from './_shared/http.ts';

/**
 * `GET /conversions/{id}`: how a conversion stands. Costs a DescribeExecution; while it runs, also a GET, a listing, and a
 * ListParts per 1,000 parts.
 */
export const createHandler = (deps: ExecutionDeps) =>
  httpHandler(deps, ConversionRequest, async (id, { caller }) => {
    const execution = await found(deps, caller, id);
    return json(200, { ...viewOf(id, execution), ...(await progress(deps, id, execution)) });
  });

async function progress({ stores, config }: ExecutionDeps, id: string, execution: Execution) {
  if (isRunning(execution)) return progressOf(stores, config.work, id);
  if (execution.status !== 'SUCCEEDED') return undefined;
  const { parts, size } = execution.output as ConversionResult;
  return parts && finished(parts.data + parts.zero + parts.copy, size);
}

export const handler = onLambdaWithExecutions(createHandler);
