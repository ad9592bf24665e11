import middy from '@middy/core';
import * as z from 'zod';
import { completeJob, readPlan, readResults } from '../lib/jobs/complete-job.ts';
import type { ConversionResult } from '../lib/jobs/conversion.ts';
import { assertAllowed } from './_shared/config.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { namedErrors, ON_TIMEOUT } from './_shared/errors.ts';
import { Target } from './_shared/schemas.ts';

const CompleteRequest = z.object({
  plan: Target,
  destination: Target,
  upload: z.object({ uploadId: z.string().min(1) }),
  results: z.object({ manifest: Target }),
});

/** Last task of a conversion: holds the receipts against the plan, and has S3 put the object together. Safe to run twice. */
export const createHandler = ({ stores, config, log }: Deps) =>
  middy<unknown, ConversionResult>(ON_TIMEOUT)
    .use(namedErrors(log))
    .handler(async (event) => {
      const { plan, destination, upload, results } = CompleteRequest.parse(event);
      assertAllowed([config.work], plan);
      assertAllowed([config.work], results.manifest);
      assertAllowed(config.destinations, destination);
      const record = await readPlan(stores, plan);
      assertAllowed(config.destinations, record.destination);
      for (const pin of record.pins) assertAllowed(config.sources, pin);
      const result = await completeJob(stores, record, await readResults(stores, results.manifest), upload.uploadId);
      log.info('completed', { ...result });
      return result;
    });

export const handler = onLambda(createHandler);
