import middy from '@middy/core';
import * as z from 'zod';
import { UnqcowError } from '../lib/errors.ts';
import type { Planned } from '../lib/jobs/conversion.ts';
import { planJob } from '../lib/jobs/plan-job.ts';
import { assertAllowed, assertGateAllowed } from './_shared/config.ts';
import { deadline } from './_shared/deadline.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { namedErrors, ON_TIMEOUT } from './_shared/errors.ts';
import { Conversion, JobName } from './_shared/schemas.ts';

const PlanRequest = z.strictObject({ job: JobName, request: Conversion });

/** First task of a conversion: gate, validate, pin, and deal the work out. Safe to run twice: it writes the same records. */
export const createHandler = ({ stores, config, log }: Deps) =>
  middy<unknown, Planned>(ON_TIMEOUT)
    .use(namedErrors(log))
    .handler(async (event, context) => {
      const { job, request } = PlanRequest.parse(event);
      assertAllowed(config.sources, request.source);
      assertGateAllowed(config.sources, request.gate);
      assertAllowed(config.destinations, request.destination);
      if (request.source.bucket === request.destination.bucket && request.source.key === request.destination.key) {
        throw new UnqcowError('BAD_REQUEST', 'the destination is the image itself', { at: 'request.destination' });
      }
      const { work, outputLimit } = config;
      const planned = await planJob({ stores, work, outputLimit }, { job, ...request }, deadline(context, 5_000));
      log.info('planned', { ...planned });
      return planned;
    });

export const handler = onLambda(createHandler);
