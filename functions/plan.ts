import * as z from 'zod';
import { UnqcowError } from '../lib/errors.ts';
import type { Planned } from '../lib/jobs/conversion.ts';
import { planJob } from '../lib/jobs/plan-job.ts';
import { assertAllowed, assertGateAllowed, assertSecretsAllowed } from './_shared/allowed.ts';
import { noteInCall } from './_shared/call.ts';
import { deadline } from './_shared/deadline.ts';
import type { Deps } from './_shared/deps.ts';
import { Conversion, JobName } from './_shared/schemas.ts';
import { onLambdaWithKeys } from './_shared/secrets.ts';
import { taskHandler } from './_shared/task.ts';

const PlanRequest = z.strictObject({ job: JobName, request: Conversion });

/** First task of a conversion: gate, validate, pin, and deal the work out. Safe to run twice: it writes the same records. */
export const createHandler = (deps: Deps) => {
  const { stores, vault, config, log, limits } = deps;
  return taskHandler<Planned>(deps, async (event, context) => {
    const { job, request } = PlanRequest.parse(event);
    noteInCall({ job });
    assertAllowed(config.sources, request.source);
    assertGateAllowed(config.sources, request.gate);
    assertAllowed(config.destinations, request.destination);
    assertSecretsAllowed(config, request.keys);
    if (request.source.bucket === request.destination.bucket && request.source.key === request.destination.key) {
      throw new UnqcowError('BAD_REQUEST', 'the destination is the image itself', { at: 'request.destination' });
    }
    const { work, outputLimit } = config;
    const planned = await planJob(
      { stores, vault, work, outputLimit, limits },
      { job, ...request },
      deadline(context, 5_000),
    );
    log.info('planned', { ...planned });
    return planned;
  });
};

export const handler = onLambdaWithKeys(createHandler);
