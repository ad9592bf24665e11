import middy from '@middy/core';
import * as z from 'zod';
import type { ConversionResult } from '../lib/jobs/conversion.ts';
import { convertWhole } from '../lib/jobs/convert-whole.ts';
import { assertAllowed, assertGateAllowed } from './_shared/config.ts';
import { deadline } from './_shared/deadline.ts';
import { type Deps, onLambda } from './_shared/deps.ts';
import { namedErrors, ON_TIMEOUT } from './_shared/errors.ts';
import { JobName, Options, Pin, Selection, Target } from './_shared/schemas.ts';

const WholeRequest = z.object({
  mode: z.literal('whole'),
  job: JobName,
  source: Pin,
  destination: Target,
  options: Options,
  ...Selection,
});

/** A small disk, whole. Safe to run twice. It keeps 10 s to abort its own upload, for nobody else knows of it. */
export const createHandler = ({ stores, config, log }: Deps) =>
  middy<unknown, ConversionResult>(ON_TIMEOUT)
    .use(namedErrors(log))
    .handler(async (event, context) => {
      const request = WholeRequest.parse(event);
      assertAllowed(config.sources, request.source);
      assertGateAllowed(config.sources, request.gate);
      assertAllowed(config.destinations, request.destination);
      const result = await convertWhole(stores, request, deadline(context, 10_000));
      log.info('converted', { ...result });
      return result;
    });

export const handler = onLambda(createHandler);
