import * as z from 'zod';
import { completeJob, readPlan, readResults } from '../lib/jobs/complete-job.ts';
import type { ConversionResult } from '../lib/jobs/conversion.ts';
import { assertAllowed } from './_shared/allowed.ts';
import { countInCall, noteInCall } from './_shared/call.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { Target } from './_shared/schemas.ts';
import { taskHandler } from './_shared/task.ts';

const CompleteRequest = z.object({
  plan: Target,
  destination: Target,
  upload: z.object({ uploadId: z.string().min(1) }),
  results: z.object({ manifest: Target }),
});

/** Last task of a conversion: holds the receipts against the plan, and has S3 put the object together. Safe to run twice. */
export const createHandler = (deps: Deps) => {
  const { stores, config, log } = deps;
  return taskHandler<ConversionResult>(deps, async (event) => {
    const { plan, destination, upload, results } = CompleteRequest.parse(event);
    assertAllowed([config.work], plan);
    assertAllowed([config.work], results.manifest);
    assertAllowed(config.destinations, destination);
    const record = await readPlan(stores, plan);
    noteInCall({ job: record.job });
    assertAllowed(config.destinations, record.destination);
    for (const pin of record.pins) assertAllowed(config.sources, pin);
    const result = await completeJob(stores, record, await readResults(stores, results.manifest), upload.uploadId);
    countInCall({ Conversions: 1 });
    log.info('completed', { ...result });
    return result;
  });
};

export const handler = onLambda(createHandler);
